"""index: mix pictures and contexts into one vector per case and build the index with its metadata."""

from zerostart.errors import run_stage
from zerostart.retrieval.crops.files import PICTURES
from zerostart.retrieval.embedding.files import read_embeddings
from zerostart.retrieval.embedding.mixing import mix
from zerostart.retrieval.index.case_index import CaseIndex, build_vectors
from zerostart.retrieval.params import load_retrieval_params
from zerostart.retrieval.tables import read_table

OUTPUT = "data/retrieval/index"


def main() -> str:
    params = load_retrieval_params()
    crops = read_table("data/retrieval/crops/crops.parquet", "crops")
    contexts = read_table("data/retrieval/contexts.parquet", "contexts")
    found = read_embeddings(len(crops))
    vectors = build_vectors(mix(found.images, found.texts, params.mix), params.index)
    about = {"embedder": found.embedder, "pictures": PICTURES, "mix": params.mix.model_dump()}
    cases = crops.append_column("context", contexts["context"])
    CaseIndex(vectors, cases, found.probe, params.index, about).save(OUTPUT)
    return f"{OUTPUT}: {len(cases)} cases, {vectors.d} dimensions, {params.index.kind}"


if __name__ == "__main__":
    run_stage(main)
