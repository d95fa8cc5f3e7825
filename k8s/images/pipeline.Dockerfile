# syntax=docker/dockerfile:1
# Pipeline steps, training, Beam's workers and batch jobs: everything but the model server and the page.
#
#   docker build -f k8s/images/pipeline.Dockerfile -t tintype-pipeline:local .
#   docker build -f k8s/images/pipeline.Dockerfile -t tintype-pipeline:local-cuda --build-arg ACCELERATOR=cuda .
#
# Debian 13, because ml-metadata and tensorflow-data-validation need glibc 2.38 and the libstdc++ of GCC 14; Python 3.11,
# because TFX needs it.

# What Beam's Python hands to Flink: its runner in Java, of Flink's version in k8s/jobs/batch and of the locked Beam.
FROM maven:3.9.9-eclipse-temurin-17 AS flink
ARG BEAM_VERSION=2.77.0
ARG FLINK_VERSION=1.19
RUN --mount=type=cache,target=/root/.m2 \
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
      "-Dartifact=org.apache.beam:beam-runners-flink-${FLINK_VERSION}-job-server:${BEAM_VERSION}" -DoutputDirectory=/beam \
    && mv /beam/*.jar /beam/flink-job-server.jar

FROM python:3.11.14-slim-trixie AS build
ARG UV_VERSION=0.13.8
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/tintype
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && python -m venv --without-pip "$VIRTUAL_ENV"
WORKDIR /source
# The packages come first: they take minutes, and change less often than the code.
COPY setup.py pyproject.toml README.md LICENSE ./
COPY photo/version.py photo/
COPY requirements/all.lock requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --constraint requirements/all.lock -r setup.py \
      --extra pipeline --extra server --extra batch --extra kubeflow
# CUDA's libraries are not in the lock file: TensorFlow names their versions itself.
ARG ACCELERATOR=cpu
RUN --mount=type=cache,target=/root/.cache/uv \
    if [ "$ACCELERATOR" = cuda ]; then \
      uv pip install --constraint requirements/all.lock 'tensorflow[and-cuda]'; \
    fi
# File systems of clouds: --build-arg BEAM_EXTRAS=gcp, aws, or gcp,aws.
ARG BEAM_EXTRAS=
RUN --mount=type=cache,target=/root/.cache/uv \
    if [ -n "$BEAM_EXTRAS" ]; then \
      uv pip install --constraint requirements/all.lock "apache-beam[${BEAM_EXTRAS}]"; \
    fi
COPY tintype tintype
COPY pipeline pipeline
COPY components components
COPY serving serving
COPY photo photo
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --wheel --out-dir /wheels . && uv pip install --no-deps /wheels/*.whl

FROM python:3.11.14-slim-trixie
RUN groupadd --gid 10001 tintype \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin tintype
COPY --from=flink /beam/flink-job-server.jar /opt/beam/flink-job-server.jar
COPY --from=build /opt/tintype /opt/tintype
# Beam's worker pool and TFX start `python` by its name. What is written is written below /tmp, where pods have a volume.
ENV PATH=/opt/tintype/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
CMD ["tintype", "--help"]
