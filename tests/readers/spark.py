"""Opens a dataset with Spark, one local session for all datasets. Needs Java."""

import logging
import os
import warnings

from expected import PARTITION, Seen, expect

TYPES = {"string": "string", "int64": "bigint", "int32": "int", "boolean": "boolean", "timestamp(us, UTC)": "timestamp"}
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.sql.session.timeZone": "UTC",
    # A partition a core is plenty for a test, and starts 200 tasks less.
    "spark.sql.shuffle.partitions": "1",
}


def session():
    """A session with one worker thread, in a Java process that ends with this one."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Spark warns of a pandas it is not going to use here.
    warnings.simplefilter("ignore", FutureWarning)
    logging.getLogger("py4j").setLevel(logging.ERROR)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").appName("readers")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def check(spark, root, columns):
    frame = spark.read.parquet(root)
    wanted = [(name, TYPES[kind]) for name, kind, _ in columns] + [(PARTITION, "date")]
    expect("Spark columns", [(field.name, field.dataType.simpleString()) for field in frame.schema], wanted)
    stray = frame.where(f"to_date(event_time) <> {PARTITION}").count()
    expect("Spark rows outside the day of their file", stray, 0)
    totals = frame.selectExpr(
        "count(*)",
        "count(DISTINCT event_id)",
        "count_if(decision = 'deny')",
        "unix_micros(min(event_time))",
        "unix_micros(max(event_time))",
    ).first()
    print(f"Spark {spark.version}: {totals[0]} rows")
    return Seen(*totals)
