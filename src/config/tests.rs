use serde::Deserialize;
use serde_saphyr::Spanned;

#[derive(Deserialize, Debug)]
struct A {
    #[allow(dead_code)]
    x: Spanned<serde::de::IgnoredAny>,
    #[allow(dead_code)]
    y: Option<Spanned<u64>>,
}

#[test]
fn spike() {
    for t in ["x:\n  mode: é\n  rules:\n    - a: 1\n# c\ny: 5\n", "x: {mode: a, b: [1]}\ny: 5\n", "x:\n  mode: a\n"] {
        let a: A = serde_saphyr::from_str(t).unwrap();
        println!("{a:?} {:?}", a.x.referenced.span().byte_offset());
    }
    for t in ["x: 1\nlimit: 5\n", "x: 1\ny: 10s\n", "x: 1\ny: [1]\n", "x: 1\ny: [\n", "x: 1\nx: 2\n", "x: 1\ny: -3\n", "x:\n\ty: 1", "x: 1\ny: 99999999999999999999999\n", "[]", "- a", ""] {
        let o = serde_saphyr::options! { with_snippet: false };
        let e = serde_saphyr::from_str_with_options::<Option<A>>(t, o);
        match e { Err(e) => println!("{t:?} => {e} @ {:?}", e.location().map(|l| (l.line(), l.column()))), Ok(o) => println!("{t:?} OK {o:?}") }
    }
}
