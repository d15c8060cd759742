# make help says what there is. Everything runs in .venv, which is made when it is missing.

.DEFAULT_GOAL := help
.PHONY: help train evaluate translate compare faults aligners exercises bench speedrun scale tensorboard docs test test-slow lint clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUTS ?= outputs
STUDY ?= embedded
BENCH ?= full
SCALE ?= full
DEVICE ?= cpu
DEVICES ?= 1
# A file of tests at a time for each core; ARGS="-n 0" runs all in one process, as a debugger needs it.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo; echo '  CONFIG=lstm|bahdanau|transformer|multi30k/lstm|…|path/to/mine.yaml'
	@echo '  STUDY=embedded (the default)|quick (minutes)|smoke (tries every step, learns nothing)|'
	@echo '        causes|flat|positions|multi30k|joined|unjoined|sizes|bible|text'
	@echo '  BENCH=full (the default)|quick   DEVICE=cpu (the default)|cuda'
	@echo '  DEVICES=N processes train   SCALE=full (the default)|quick'
	@echo '  ARGS="key=value …" overrides any option   RUN=outputs/…'

# Made anew whenever the dependencies change; the stamp is written only after everything is installed.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV) # also completes one that was begun
	@echo "installing into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,report,export,argos,onnx,zst,langid,sweep,serve,docs]'
	@touch $@

# Several processes share the cores: each computes with its part of the threads.
ifeq ($(strip $(DEVICES)),1)
TRAIN := $(BIN)/seq2seq train
else
SHARE := $$(( ($$(getconf _NPROCESSORS_ONLN) + $(DEVICES) - 1) / $(DEVICES) ))
TRAIN := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-$(SHARE)} $(BIN)/torchrun --standalone \
	--nproc-per-node=$(DEVICES) -m seq2seq train
endif

train: $(VENV)/installed ## train CONFIG, test it, print the scores
ifeq ($(strip $(CONFIG)),)
	@echo 'say what to train: make train CONFIG=NAME, or CONFIG=path/to/mine.yaml, where NAME is one of'
	@$(BIN)/seq2seq configs | sed 's/^/  /'
	@exit 2
else
	@$(TRAIN) experiment=$(CONFIG) outputs=$(OUTPUTS) $(ARGS)
endif

evaluate: $(VENV)/installed ## score RUN=outputs/…; ARGS="decode.beam=1 --ter" and the like
	@$(BIN)/seq2seq evaluate $(RUN) $(ARGS)

translate: $(VENV)/installed ## translate with RUN=outputs/… what you type or pipe in
	@$(BIN)/seq2seq translate $(RUN) $(ARGS)

compare: $(VENV)/installed ## train the models of STUDY, explain the difference in a page
	@$(BIN)/seq2seq compare study=$(STUDY) outputs=$(OUTPUTS) $(ARGS)

faults: $(VENV)/installed ## what seven faults cost in BLEU: hours; ARGS="--only 5,6"
	@$(BIN)/python -m scripts.faults outputs=$(OUTPUTS) $(ARGS)

aligners: $(VENV)/installed ## AER of an aligner people use beside that of RUN=outputs/…
	@$(BIN)/python -m scripts.aligners $(RUN) $(ARGS)

exercises: $(VENV)/installed ## check what you wrote into docs/exercises
	@$(BIN)/python -m pytest docs/exercises --no-header $(ARGS)

bench: $(VENV)/installed ## measure ours beside everybody else; BENCH=quick: 15 minutes
	@$(BIN)/python -m scripts.bench $(BENCH) --device $(DEVICE) $(ARGS)

speedrun: $(VENV)/installed ## time to 80 BLEU, by the rules of docs/speedrun.md
	@$(BIN)/python -m scripts.speedrun $(or $(CONFIG),transformer) $(ARGS)

scale: $(VENV)/installed ## what processes and large corpora cost; SCALE=quick: minutes
	@$(BIN)/python -m scripts.scale_ranks $(SCALE)
	@$(BIN)/python -m scripts.scale_data $(if $(filter quick,$(SCALE)),--quick)

tensorboard: $(VENV)/installed ## the curves of all runs in the browser
	@$(BIN)/tensorboard --logdir $(OUTPUTS) $(ARGS)

docs: $(VENV)/installed ## the pages of docs/ as a site, build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f docs/site/mkdocs.yml $(ARGS)
	@echo 'build/site/index.html'

test: $(VENV)/installed ## the test suite
	@$(PYTEST) $(ARGS)

test-slow: $(VENV)/installed ## the tests that take minutes each
	@$(PYTEST) -m slow $(ARGS)

lint: $(VENV)/installed ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean: ## remove caches and build leftovers, not runs or .venv
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
