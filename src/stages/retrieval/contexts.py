"""contexts: write the text of every crop, one row per row of the table of crops."""

import pyarrow as pa

from zerostart.errors import run_stage
from zerostart.retrieval.contexts import context, load_words
from zerostart.retrieval.params import load_retrieval_params
from zerostart.retrieval.tables import read_table, write_table

OUTPUT = "data/retrieval/contexts.parquet"


def main() -> str:
    words = load_words(load_retrieval_params().language)
    crops = read_table("data/retrieval/crops/crops.parquet", "crops")
    texts = [context(row, words) for row in crops.to_pylist()]
    write_table(OUTPUT, pa.table({"crop_id": crops["crop_id"], "context": texts}))
    return f"{OUTPUT}: {len(texts)} contexts, {len(set(texts))} of them different; the first: {texts[0]}"


if __name__ == "__main__":
    run_stage(main)
