# syntax=docker/dockerfile:1
# The web page and its gateway, without TensorFlow.
#
#   docker build -f k8s/images/gateway.Dockerfile -t tintype-gateway:local .

FROM python:3.11.14-slim-trixie AS build
ARG UV_VERSION=0.13.8
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/tintype
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && python -m venv --without-pip "$VIRTUAL_ENV"
WORKDIR /source
COPY setup.py pyproject.toml README.md LICENSE ./
COPY photo/version.py photo/
COPY requirements/all.lock requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --constraint requirements/all.lock -r setup.py --extra web
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
COPY --from=build /opt/tintype /opt/tintype
ENV PATH=/opt/tintype/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
CMD ["tintype", "web", "--help"]
