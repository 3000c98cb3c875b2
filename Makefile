# make demo    export, verify and run LRASPP, and land on it; the results go to demo/
#              make demo SOURCE=street.mp4 shows a film or a folder of images of yours instead
# make test    all tests except the slow ones
# make test-all all tests; the slow ones are longer doc pages, compilers, ResNet-50, the shipped calibrations
# make check   ruff, mypy and all tests
# make docs    the pages as a site, in site/
# make ros2    an environment with ROS 2, in .cache/ros2; the tests of ROS 2 use it where it is
# make gpu     the proof on an NVIDIA GPU; the results go to gpu/
# PYTHON names the interpreter that .venv is made with: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LINKED := .cache/src
DEMO := demo
GPU := gpu
SOURCE :=
WEIGHTS := $(if $(SOURCE),camvid,aerial)
STEPS := $(if $(SOURCE),3,4)
PREPARED := .cache/gpu
ROS2 := .cache/ros2

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all docs lint types check ros2 gpu clean

help:
	@echo "make demo    export, verify and run LRASPP, and land on it; the results go to $(DEMO)/"
	@echo "             with SOURCE=street.mp4: on a film or a folder of images of yours; WEIGHTS=aerial from above"
	@echo "make test    run all tests except the slow ones"
	@echo "make test-all    run all tests"
	@echo "make check   ruff, mypy --strict and all tests"
	@echo "make docs    build the pages as a site, in site/"
	@echo "make ros2    install ROS 2 for its tests, in $(ROS2)"
	@echo "make gpu     test TensorRT and CUDA on an NVIDIA GPU; the results go to $(GPU)/"
	@echo "make clean   remove the outputs of these commands, but not .venv"

install: $(INSTALLED)

# OpenCV's usual build needs the system's libGL. Where that is missing nothing can be shown in a window, and the
# build without windows does all else.
$(INSTALLED): pyproject.toml $(wildcard runtime/decode/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "edgeseg needs Python 3.10 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "Installing edgeseg and its tools into $(VENV); the first time this takes some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[export,dev]"
	@$(BIN)/python -c 'import cv2' 2> $(VENV)/cv2.log || { \
		echo "OpenCV does not load ($$(tail -n 1 $(VENV)/cv2.log)); taking its build without windows."; \
		$(BIN)/python -m pip uninstall --quiet --yes opencv-python; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check opencv-python-headless; \
		$(BIN)/python -c 'import cv2'; }
	@touch $@

# The landing has weights of its own: aerial was not taught the last five metres.
demo: $(INSTALLED)
	@rm -f $(DEMO)/landing.*
	@echo; echo "1/$(STEPS)  python export.py --model lraspp --weights $(WEIGHTS)"; echo
	@$(BIN)/python export.py --model lraspp --weights $(WEIGHTS) --frames 5 --out $(DEMO)/lraspp --force
	@echo; echo "2/$(STEPS)  edgeseg verify $(DEMO)/lraspp"; echo
	@$(BIN)/edgeseg verify $(DEMO)/lraspp $(if $(SOURCE),--source "$(SOURCE)") --frames 40 --out $(DEMO) \
		--contact-sheet $(DEMO)/contact-sheet.png --force
	@echo; echo "3/$(STEPS)  python run_camera.py --bundle $(DEMO)/lraspp --source $(or $(SOURCE),aerial:7)"; echo
	@$(BIN)/python run_camera.py --bundle $(DEMO)/lraspp --source "$(or $(SOURCE),aerial:7?size=720x720)" \
		--frames 250 --save $(DEMO)/overlay.mp4 --stats $(DEMO)/stats.json --force
ifeq ($(SOURCE),)
	@echo; echo "4/$(STEPS)  python -m edgeseg.benchmarks.landing.film --bundle $(DEMO)/lander"; echo
	@$(BIN)/python export.py --model lraspp --weights aerial-mobilenet --frames 1 --out $(DEMO)/lander --force
	@$(BIN)/python -m edgeseg.benchmarks.landing.film --bundle $(DEMO)/lander --out $(DEMO)/landing.mp4 \
		--stats $(DEMO)/landing.json --force
endif
	@$(BIN)/python examples/demo_summary.py $(DEMO)

# A process a core and one more, for many tests wait. Each has one thread: libraries that start a thread a core in each
# of them would only get in the way.
test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $$(( $$(nproc) + 1 )) --dist worksteal $(PYTEST_OPTIONS)

test-all: PYTEST_OPTIONS += -m "slow or not slow"
test-all: test

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

# The repository's root is the package, whatever the folder is called; mypy finds it by this name.
types: $(INSTALLED)
	@mkdir -p $(LINKED) && ln -sfn ../.. $(LINKED)/edgeseg
	@MYPYPATH=$(LINKED) $(BIN)/mypy -p edgeseg

check: lint types test-all

docs: $(INSTALLED)
	@$(BIN)/mkdocs build --strict --quiet --site-dir site

# An environment of its own: one of the wheels starts each Python of its environment twice. They are for x86_64.
ros2: $(ROS2)/.installed

$(ROS2)/.installed: pyproject.toml
	@test -x $(ROS2)/bin/pip || $(PYTHON) -m venv $(ROS2)
	@$(ROS2)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[ros2-test]"
	@$(ROS2)/bin/python -c 'import cv2' 2> /dev/null || { \
		$(ROS2)/bin/python -m pip uninstall --quiet --yes opencv-python; \
		$(ROS2)/bin/python -m pip install --quiet --disable-pip-version-check opencv-python-headless; }
	@$(ROS2)/bin/python -c 'import cv2, rclpy'
	@touch $@

# What is run is prepared once; that takes minutes. The proof itself takes less than nine.
gpu: $(INSTALLED)
	@test -f $(PREPARED)/prepared.json || $(BIN)/python -m edgeseg.benchmarks.gpu --prepare $(PREPARED)
	@$(BIN)/python -m edgeseg.benchmarks.gpu --bundles $(PREPARED) --out $(GPU) --force

clean:
	@rm -rf $(DEMO) $(GPU) build dist *.egg-info .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
