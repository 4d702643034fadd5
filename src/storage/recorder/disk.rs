//! The model of a disk: what is durable, what is on its way, and what a loss of power can leave of it.
//!
//! How it changes with each call is `recorder`'s part; the rules are at its beginning.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::file::{Bytes, FileState, Written};

/// Position in [`Disk::inodes`].
type Inode = usize;
/// The root of what is recorded.
const ROOT: Inode = 0;
/// Changes not synced yet of which every combination is tried.
const COMBINED_MAX: usize = 4;

/// A file or directory, whatever it is called.
#[derive(Clone, Debug)]
enum Node {
    File(FileState),
    /// Entries that processes see, and those that are durable.
    Dir {
        names: BTreeMap<String, Inode>,
        durable: BTreeMap<String, Inode>,
    },
}

/// What a name in a directory leads to from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    dir: Inode,
    name: String,
    to: Option<Inode>,
}

/// A change of one directory, or of two at once, that is not durable yet.
#[derive(Clone, Debug)]
struct Change {
    number: usize,
    entries: Vec<Entry>,
    /// The change without which this one is never durable by chance.
    after: Option<usize>,
}

/// What got to the disk of that which was not synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// For each change of a directory, in the order they were made.
    pub(crate) kept: Vec<bool>,
    pub(crate) written: Written,
}

/// What is there after a loss of power, by path below the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tree(BTreeMap<PathBuf, Leaf>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Leaf {
    Dir,
    File(Bytes),
    /// Another name of a file.
    Link(PathBuf),
}

/// The file system at one moment: what is durable, and what is only on its way.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    inodes: Vec<Node>,
    changes: Vec<Change>,
    changes_made: usize,
}

impl Disk {
    /// Takes what is below `root` for durable.
    pub(super) fn of(root: &Path) -> Self {
        let mut disk = Self { root: root.to_owned(), inodes: vec![new_dir()], changes: Vec::new(), changes_made: 0 };
        disk.import(root, ROOT, &mut HashMap::new());
        disk
    }

    fn import(&mut self, dir: &Path, inode: Inode, seen: &mut HashMap<u64, Inode>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_dir = entry.file_type().unwrap().is_dir();
            let known = seen.get(&entry.metadata().unwrap().ino()).copied();
            let child = known.unwrap_or_else(|| {
                self.add(if is_dir {
                    new_dir()
                } else {
                    Node::File(FileState::durable(&fs::read(entry.path()).unwrap()))
                })
            });
            seen.insert(entry.metadata().unwrap().ino(), child);
            if let Node::Dir { names, durable } = &mut self.inodes[inode] {
                names.insert(name.clone(), child);
                durable.insert(name, child);
            }
            if is_dir {
                self.import(&entry.path(), child, seen);
            }
        }
    }

    /// What a loss of power leaves. Changes beyond the end of the list are lost.
    pub(crate) fn left(&self, loss: &Loss) -> Tree {
        let mut entries: HashMap<(Inode, &str), Option<Inode>> = HashMap::new();
        let mut undone = BTreeSet::new();
        for (position, change) in self.changes.iter().enumerate() {
            let waits = change.after.is_some_and(|after| undone.contains(&after));
            if waits || !loss.kept.get(position).copied().unwrap_or_default() {
                undone.insert(change.number);
                continue;
            }
            for entry in &change.entries {
                entries.insert((entry.dir, &entry.name), entry.to);
            }
        }
        let (mut tree, mut found) = (BTreeMap::new(), HashMap::new());
        self.walk((ROOT, PathBuf::new()), &entries, loss.written, &mut found, &mut tree);
        Tree(tree)
    }

    /// What is left with nothing of what was not synced, and with all of it.
    pub(crate) fn extremes(&self) -> [Tree; 2] {
        let all = Loss { kept: vec![true; self.changes.len()], written: Written::First(u8::MAX) };
        [&Loss::ALL, &all].map(|loss| self.left(loss))
    }

    fn walk(
        &self,
        (dir, at): (Inode, PathBuf),
        changed: &HashMap<(Inode, &str), Option<Inode>>,
        written: Written,
        found: &mut HashMap<Inode, PathBuf>,
        tree: &mut BTreeMap<PathBuf, Leaf>,
    ) {
        let Node::Dir { durable, .. } = &self.inodes[dir] else { return };
        let mut names: BTreeMap<&str, Inode> = durable.iter().map(|(name, to)| (name.as_str(), *to)).collect();
        for ((_, name), to) in changed.iter().filter(|((of, _), _)| *of == dir) {
            match to {
                Some(to) => drop(names.insert(name, *to)),
                None => drop(names.remove(name)),
            }
        }
        for (name, inode) in names {
            let path = at.join(name);
            match &self.inodes[inode] {
                Node::Dir { .. } => {
                    tree.insert(path.clone(), Leaf::Dir);
                    self.walk((inode, path), changed, written, found, tree);
                }
                Node::File(file) => {
                    let leaf = match found.get(&inode) {
                        Some(first) => Leaf::Link(first.clone()),
                        None => Leaf::File(file.after_loss(written)),
                    };
                    found.entry(inode).or_insert_with(|| path.clone());
                    tree.insert(path, leaf);
                }
            }
        }
    }

    /// The worst that can be left: of the changes that were not synced none, all, all up to each of them, each alone, all
    /// but each, and every combination of the last few; with what was written to files, and without, and with parts of it.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        let count = self.changes.len();
        let mut kept: BTreeSet<Vec<bool>> = (0..=count).map(|end| (0..count).map(|at| at < end).collect()).collect();
        for one in 0..count {
            kept.insert((0..count).map(|at| at == one).collect());
            kept.insert((0..count).map(|at| at != one).collect());
        }
        let last = count.min(COMBINED_MAX);
        for bits in 0..1_u32 << last {
            let combined = |at: usize| bits >> (at + last - count) & 1 == 1;
            for before in [false, true] {
                kept.insert((0..count).map(|at| if at + last < count { before } else { combined(at) }).collect());
            }
        }
        let open = |node: &Node| matches!(node, Node::File(file) if !file.is_synced());
        let parts: &[Written] = if self.inodes.iter().any(open) { &Written::WORST } else { &[Written::First(0)] };
        kept.into_iter()
            .flat_map(|kept| parts.iter().map(move |part| Loss { kept: kept.clone(), written: *part }))
            .collect()
    }
}

impl Loss {
    /// Everything that was not synced.
    pub(crate) const ALL: Self = Self { kept: Vec::new(), written: Written::First(0) };
}

impl Tree {
    /// Makes it real in an empty directory.
    pub(crate) fn write(&self, root: &Path) {
        for (path, leaf) in &self.0 {
            let path = root.join(path);
            match leaf {
                Leaf::Dir => fs::create_dir(path).unwrap(),
                Leaf::File(bytes) => {
                    fs::write(&path, bytes).unwrap();
                    // The mode of a secret key, and of no consequence for the others.
                    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
                }
                Leaf::Link(other) => fs::hard_link(root.join(other), path).unwrap(),
            }
        }
    }
}

fn new_dir() -> Node {
    Node::Dir { names: BTreeMap::new(), durable: BTreeMap::new() }
}

impl Entry {
    fn is_at(&self, other: &Self) -> bool {
        (self.dir, &self.name) == (other.dir, &other.name)
    }
}

/// The calls.
impl Disk {
    pub(super) fn create(&mut self, path: &Path) {
        match self.file(path) {
            Some(file) => file.resize(0),
            None => self.add_at(path, Node::File(FileState::empty())),
        }
    }

    pub(super) fn write_at(&mut self, path: &Path, offset: u64, bytes: &[u8]) {
        if let Some(file) = self.file(path) {
            file.put(offset as usize, bytes);
        }
    }

    pub(super) fn cut(&mut self, path: &Path, length: u64) {
        if let Some(file) = self.file(path) {
            file.resize(length as usize);
        }
    }

    /// It has these contents now, by whatever way it got them.
    pub(super) fn write(&mut self, path: &Path, contents: &[u8]) {
        if let Some(file) = self.file(path) {
            file.become_bytes(contents);
        }
    }

    pub(super) fn sync(&mut self, path: &Path) {
        if let Some(file) = self.file(path) {
            file.sync();
        }
    }

    /// Of one file over itself it does nothing, as POSIX has it.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        let moved = self.find(from);
        if moved.is_some() && moved != self.find(to) {
            let after = self.change(&[(to, moved)], None);
            self.change(&[(from, None)], after);
        }
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) {
        let linked = self.find(from);
        self.change(&[(to, linked)], None);
    }

    pub(super) fn exchange(&mut self, one: &Path, other: &Path) {
        let (first, second) = (self.find(one), self.find(other));
        self.change(&[(one, second), (other, first)], None);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change(&[(path, None)], None);
    }

    pub(super) fn create_dir(&mut self, path: &Path) {
        self.add_at(path, new_dir());
    }

    pub(super) fn sync_dir(&mut self, path: &Path) {
        let Some(dir) = self.find(path) else { return };
        let mut left: Vec<Change> = Vec::new();
        for change in std::mem::take(&mut self.changes) {
            if !change.entries.iter().any(|entry| entry.dir == dir) {
                left.push(change);
                continue;
            }
            for entry in change.entries {
                left.retain(|earlier| !earlier.entries.iter().any(|other| other.is_at(&entry)));
                self.make_durable(entry);
            }
        }
        self.changes = left;
    }
}

/// How they are done.
impl Disk {
    fn add(&mut self, node: Node) -> Inode {
        self.inodes.push(node);
        self.inodes.len() - 1
    }

    /// Directory and name of a path; `None` outside of what is recorded.
    fn place(&self, path: &Path) -> Option<(Inode, String)> {
        let below = path.strip_prefix(&self.root).ok()?;
        let name = below.file_name()?.to_str()?.to_owned();
        let mut dir = ROOT;
        for part in below.parent()? {
            dir = self.entry(dir, part.to_str()?)?;
        }
        Some((dir, name))
    }

    fn entry(&self, dir: Inode, name: &str) -> Option<Inode> {
        match &self.inodes[dir] {
            Node::Dir { names, .. } => names.get(name).copied(),
            Node::File(_) => None,
        }
    }

    fn find(&self, path: &Path) -> Option<Inode> {
        if path == self.root {
            return Some(ROOT);
        }
        let (dir, name) = self.place(path)?;
        self.entry(dir, &name)
    }

    fn add_at(&mut self, path: &Path, node: Node) {
        let inode = self.add(node);
        self.change(&[(path, Some(inode))], None);
    }

    fn file(&mut self, path: &Path) -> Option<&mut FileState> {
        let inode = self.find(path)?;
        match self.inodes.get_mut(inode)? {
            Node::File(file) => Some(file),
            Node::Dir { .. } => None,
        }
    }

    /// Changes entries, all at once; the number of the change.
    fn change(&mut self, entries: &[(&Path, Option<Inode>)], after: Option<usize>) -> Option<usize> {
        let places = entries.iter().map(|(path, to)| self.place(path).map(|(dir, name)| Entry { dir, name, to: *to }));
        let entries = places.collect::<Option<Vec<Entry>>>()?;
        for entry in &entries {
            if let Node::Dir { names, .. } = &mut self.inodes[entry.dir] {
                match entry.to {
                    Some(to) => drop(names.insert(entry.name.clone(), to)),
                    None => drop(names.remove(&entry.name)),
                }
            }
        }
        let number = self.changes_made;
        self.changes_made += 1;
        self.changes.push(Change { number, entries, after });
        Some(number)
    }

    fn make_durable(&mut self, entry: Entry) {
        if let Node::Dir { durable, .. } = &mut self.inodes[entry.dir] {
            match entry.to {
                Some(to) => drop(durable.insert(entry.name, to)),
                None => drop(durable.remove(&entry.name)),
            }
        }
    }
}
