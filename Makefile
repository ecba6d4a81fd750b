# make repro                     run the experiment, and say whether it is the committed result
# make test                      lint and tests
# make retrieval                 crops, contexts, embeddings and an index of damage cases, and their validation
# make report BASE=main          compare the workspace, or REVS="one two", with a branch, commit or experiment: report/
# make check-lock                is dvc.lock up to date? names what was changed without a rerun; needs no data
# make verify                    are these the committed results: the same bytes, or only rounding? reruns nothing
# make ablation DATASET=neu-det  does language help? every arm against its controls
# make novel                     a class added by a sentence: how well it is found, against every control (DATASET=neu-det)
# make tagging                   image tags: train on small pictures, adapt to photos, measure the gap (DATASET=cifar-photos)
# make bench                     measure the speed on this machine, against other ways to do the same (needs make repro first)
# make bench-retrieval           the same for the retrieval pipeline (needs make retrieval first)
# make bench-tagging             the same for the tagging pipeline (needs make tagging first)
# make serve                     the inspection page on http://127.0.0.1:8000; makes first what is missing (docs/serving.md)
# make test-serving              the server against hostile requests, in full counts
# make test-browser              the inspection page in chromium, which is installed first where it is not there (Debian, as root or by sudo)
# make bench-serving             the server against the bare detector
# make baseline DATASET=neu-det  train a detector and make it the frozen baseline
# make faults                    kill every stage and command 300 times and see that each recovers (docs/reliability.md)
# make mutants                   make core lines wrong, one by one: do the tests notice?
# make mlflow-ui                 the runs that `python -m zerostart.mlflow` wrote, in a browser (an environment of its own; docs/experiments.md)
# make test-mlflow               its tests, with MLflow in an environment of its own beside .venv
# make doctor                    is this checkout ready, and what comes next?
# Each sets up .venv first when it is missing or older than requirements.lock. An own environment: make VENV=/path repro
PYTHON ?= python3
VENV ?= .venv
# A copy of the lock file that was installed: an equal one means that there is nothing to do.
INSTALLED = $(VENV)/installed.lock
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PYTHONPATH := src
# Nothing may reach for a network while it runs.
export HF_HUB_OFFLINE ?= 1

.PHONY: help repro retrieval test faults mutants lint report check-lock verify publish ablation novel tagging bench bench-retrieval \
  bench-tagging bench-serving serve test-serving test-browser mlflow-ui test-mlflow baseline doctor clean FORCE
help:
	@sed -n 's/^# make/make/p' Makefile

repro: $(INSTALLED)
	@python -m zerostart.preflight
	dvc repro
	@python -m zerostart.comparison
	@python -m zerostart.verify dvc.lock

retrieval: $(INSTALLED)
	@python -m zerostart.preflight retrieval
	dvc repro pipelines/retrieval/dvc.yaml

test: $(INSTALLED) lint
	pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Fifty of them are among the tests.
faults: $(INSTALLED)
	python tests/faults/run.py --kills 300

mutants: $(INSTALLED)
	python tests/mutants/run.py

lint: $(INSTALLED)
	ruff check --quiet
	ruff format --check --quiet

BASE ?= main
report: $(INSTALLED)
	@python -m zerostart.report $(BASE) $(REVS)

check-lock: $(INSTALLED)
	@python -m zerostart.staleness

verify: $(INSTALLED)
	@python -m zerostart.verify

# In a workflow only: the report as the job's summary and as a comment.
publish: $(INSTALLED)
	@python -m zerostart.pull_request

# Every refinement and every control on DATASET, at most ten minutes on two cores; a killed run goes on where it was.
DATASET ?= synthetic
ablation: $(INSTALLED)
	@python -m zerostart.preflight ablation $(DATASET)
	dvc repro pipelines/ablation/dvc.yaml:report@$(DATASET)

# The vocabulary that `python -m zerostart.classes` needs; then marks and classes that nobody was shown, named by sentences, where facts
# of the classes are written down: without them nothing can be judged.
novel: $(INSTALLED)
	@python -m zerostart.preflight novel $(DATASET)
	dvc repro pipelines/novel/dvc.yaml:vocabulary@$(DATASET) \
	  $(if $(shell grep -x '  $(DATASET):' data/captions/facts.yaml),pipelines/novel/dvc.yaml:evaluate@$(DATASET)) \
	  $(if $(filter synthetic,$(DATASET)),pipelines/novel/dvc.yaml:found pipelines/novel/dvc.yaml:choose)

# Image tags on the drawn domains, or on DATASET; a killed training goes on where it was.
tagging: TAGS = $(if $(filter command line environment,$(origin DATASET)),$(DATASET),toolbox)
tagging: $(INSTALLED)
	@python -m zerostart.preflight tagging $(TAGS)
	dvc repro pipelines/tagging/dvc.yaml:evaluate@$(TAGS)

# Under ten minutes on two cores. Every script prints a ratio of two ways in one run and writes bench/results/.
bench: $(INSTALLED)
	@for script in kernels live_epoch experiment features scaling evaluation decoder_epoch latency; do python bench/$$script.py || exit 1; done

# A few minutes. Larger sizes, without building a graph (10 GB): python bench/retrieval_search.py --flat 1000000
bench-retrieval: $(INSTALLED)
	python bench/retrieval_embedding.py
	python bench/retrieval_search.py

# Two minutes: input pipeline against the bare model, six windows against one, memory.
bench-tagging: $(INSTALLED)
	python bench/tagging.py

bench-serving: $(INSTALLED)
	python bench/serving.py

# SERVE="--port 9000 --store /srv/inspections" is passed on; `python -m zerostart.serve` serves what is there, and makes nothing.
serve: $(INSTALLED)
	@ls models/decoder_tuning/fusion.json data/baseline/config.json data/coco/val.json > /dev/null 2>&1 || { \
	  echo "no detector yet: the experiment runs first, about three minutes on two cores" && \
	  python -m zerostart.preflight && dvc repro --quiet; }
	@ls data/retrieval/index/config.json models/retrieval_adapter/config.json > /dev/null 2>&1 || { \
	  echo "no cases on record yet: their index is made first, about two minutes" && \
	  python -m zerostart.preflight retrieval && dvc repro --quiet pipelines/retrieval/dvc.yaml:index; }
	@ls models/tagging/toolbox/rules/rules.json > /dev/null 2>&1 || { \
	  echo "no tagger yet: it is trained first, about four minutes" && \
	  python -m zerostart.preflight tagging toolbox && dvc repro --quiet pipelines/tagging/dvc.yaml:engines@toolbox; }
	@python -m zerostart.serve $(SERVE)

test-serving: $(INSTALLED)
	ZEROSTART_HOSTILE=full pytest -q tests/serving

# playwright comes with the requirements; its own download of a browser is not needed.
test-browser: $(INSTALLED)
	@command -v chromium > /dev/null || { \
	  as=$$(test $$(id -u) = 0 || echo sudo) && $$as apt-get update && $$as apt-get install --yes --no-install-recommends chromium; }
	pytest -q tests/serving/test_page_*.py

# Train the detector of DATASET and make it the frozen baseline of the experiments (an hour on a CPU).
baseline: $(INSTALLED)
	dvc repro pipelines/detector/dvc.yaml:detector@$(DATASET)
	mkdir -p data/baselines/$(DATASET)
	cp models/detector/$(DATASET)/* data/baselines/$(DATASET)/

# The whole of MLflow needs an older pyarrow than the lock has.
MLFLOW = $(shell sed -n 's/^mlflow-skinny==\([0-9.]*\).*/\1/p' requirements-mlflow.in)
.venv-mlflow-ui/installed-$(MLFLOW):
	$(PYTHON) -m venv --clear .venv-mlflow-ui
	.venv-mlflow-ui/bin/python -m pip install --quiet --disable-pip-version-check mlflow==$(MLFLOW)
	touch $@

MLFLOW_STORE ?= sqlite:///runs/mlflow.db
mlflow-ui: .venv-mlflow-ui/installed-$(MLFLOW)
	MLFLOW_DISABLE_TELEMETRY=true .venv-mlflow-ui/bin/mlflow ui --backend-store-uri $(MLFLOW_STORE)

# .venv holds what the lock says and nothing else; this environment sees its packages, and has MLflow in addition.
.venv-mlflow/installed.in: requirements-mlflow.in $(INSTALLED)
	$(VENV)/bin/python -m venv --clear .venv-mlflow
	$(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > `.venv-mlflow/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`/packages.pth
	.venv-mlflow/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-mlflow.in -c requirements.lock
	cp requirements-mlflow.in $@

test-mlflow: .venv-mlflow/installed.in
	.venv-mlflow/bin/python -m pytest -q tests/trackers

$(INSTALLED): FORCE
	@cmp --silent requirements.lock $@ || { \
	  $(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")' && \
	  $(PYTHON) -m venv $(VENV) && \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock && \
	  $(VENV)/bin/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "zerostart.pth").write_text(f"{pathlib.Path.cwd()}/src\n", encoding="utf-8")' && \
	  cp requirements.lock $@; }
FORCE:

doctor: $(INSTALLED)
	@python -m zerostart.doctor

clean:
	rm -rf .pytest_cache .ruff_cache .hypothesis dvc_plots report
