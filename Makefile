PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONTEST := $(wildcard ../shared/data/contest/images)
GALLERY := $(if $(CONTEST),$(CONTEST),demo/gallery --labels demo/gallery.csv)

.PHONY: demo test check clean

demo: $(VENV)/installed-demo  ## set up, then embed, build an index and predict
	$(BIN)/python benchmarks/demo_photos.py demo
	$(BIN)/maskcls embed $(GALLERY) --out demo/faces
	$(BIN)/maskcls build-index demo/faces --out demo/model
	$(BIN)/maskcls predict demo/photos --model demo/model --out demo/predictions.csv --report demo/report.html

test: $(VENV)/installed-test check  ## set up, then lint, type-check and test
	OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/installed-%: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) demo
