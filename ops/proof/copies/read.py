"""Print what a reader of Parquet that has nothing of ours sees of a copy: a JSON array for
each row, in the order of the key. read.py duckdb|pyarrow DIR"""
import json
import sys

reader, directory = sys.argv[1:]
files = directory + "/interactions/*.parquet"
columns = ["interaction_id", "media_type", "subject", "text", "body"]
if reader == "duckdb":
    import duckdb

    query = "SELECT epoch_ms(started_at), {} FROM read_parquet('{}') ORDER BY started_at, interaction_id".format(
        ", ".join(columns), files)
    rows = duckdb.sql(query).fetchall()
else:
    import pyarrow.dataset

    table = pyarrow.dataset.dataset(directory + "/interactions", format="parquet").to_table(columns=["started_at"] + columns)
    rows = [(int(row["started_at"].timestamp() * 1000), *(row[c] for c in columns)) for row in table.to_pylist()]
    rows.sort(key=lambda row: (row[0], row[1].encode()))
for row in rows:
    print(json.dumps(row))
