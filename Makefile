PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONTEST := $(wildcard ../shared/data/contest/images)
FAIRFACE := $(or $(MASKCLS_DATA),../shared/data)/fairface
BUILD := builtin-build

.PHONY: demo test check soak advisories chromium builtin-model clean

demo: $(VENV)/installed-demo  ## set up, then predict on a few photos and build a model
	$(BIN)/python -m benchmarks.demo_photos demo
ifdef CONTEST
	$(BIN)/maskcls embed $(CONTEST) --out demo/faces
	$(BIN)/maskcls build-index demo/faces --out demo/model
	$(BIN)/maskcls predict demo/photos --model demo/model --out demo/predictions.csv --report demo/report.html
else
	@echo "No labelled photos in ../shared/data: the built-in model predicts."
	$(BIN)/maskcls predict demo/photos --out demo/predictions.csv --report demo/report.html
	@echo "The steps to a model of your own, on one portrait with drawn masks:"
	$(BIN)/maskcls render-masks demo/portrait --labels demo/portrait.csv --copies 4 --out demo/drawn
	$(BIN)/maskcls embed demo/drawn --out demo/faces
	$(BIN)/maskcls build-index demo/faces --out demo/model
	$(BIN)/maskcls predict demo/photos --model demo/model --out demo/one_person.csv --quiet
	@echo "One person's photos show the steps and the files. They cannot train mask and gender, which need two people of"
	@echo "each class, and every age predicted from them is that person's own: do not use demo/one_person.csv. Your own"
	@echo "labelled photos take the place of demo/drawn: docs/guide.md."
endif
	@echo "Open demo/report.html for the predictions."

WORKERS := $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')

test: $(VENV)/installed-test check chromium  ## set up, then lint, type-check and test; a thread for each worker
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SOAK := $(or $(MASKCLS_DATA),../shared/data)/contest/images

soak: $(VENV)/installed-test  ## hostile photos, damaged files and kills, in numbers: half an hour on one core
	$(BIN)/python -m benchmarks.fuzz_photos $(SOAK) --cases 20000 --through 600
	MASKCLS_SOAK_CASES=4000 $(BIN)/pytest tests/classify/model/test_stored_state.py
	$(BIN)/python -m benchmarks.kill_campaign $(SOAK) --kills 220

advisories: $(VENV)/installed-audit  ## known holes of the pinned versions; asks PyPI
	$(BIN)/pip-audit --no-deps --disable-pip --requirement constraints.txt

chromium:  ## the browser that the review page is tested in
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	{ test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y --no-install-recommends chromium; } || \
	echo "no chromium on PATH: tests of the review page need it (Debian: apt-get install chromium)"

builtin-model: $(VENV)/installed-demo  ## make the built-in model again, from FairFace; docs/model_card.md
	$(BIN)/maskcls embed $(FAIRFACE) --out $(BUILD)/faces
	$(BIN)/maskcls render-masks $(FAIRFACE) --out $(BUILD)/drawn --copies 2
	$(BIN)/maskcls embed $(BUILD)/drawn --out $(BUILD)/drawn-faces
	$(BIN)/python -m benchmarks.builtin_model $(BUILD)/faces $(BUILD)/drawn-faces --out $(BUILD)/model
	rm -rf classify/model/builtin
	cp -R $(BUILD)/model classify/model/builtin
	chmod -R u=rwX,go=rX classify/model/builtin

$(VENV)/installed-%: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) demo
