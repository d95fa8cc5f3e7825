# syntax=docker/dockerfile:1
# The image of Beam's workers where the runner starts them itself (Dataflow, or DOCKER environments): the pipeline's
# image, with Beam's boot program. Nothing is installed when a worker starts.
#
#   docker build -f k8s/images/beam.Dockerfile --build-arg PIPELINE_IMAGE=tintype-pipeline:local -t tintype-beam .

ARG PIPELINE_IMAGE=tintype-pipeline:local
FROM apache/beam_python3.11_sdk:2.77.0 AS sdk
# hadolint ignore=DL3006
FROM ${PIPELINE_IMAGE}
COPY --from=sdk /opt/apache/beam /opt/apache/beam
# Else boot makes an environment of its own, in a folder that this user may not write, without the pipeline's packages.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
USER 10001:10001
ENTRYPOINT ["/opt/apache/beam/boot"]
