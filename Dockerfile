# The image of the gate: base image + locked Python packages + parity.
#
#   docker build -t parity .                                               with CUDA
#   docker build -t parity:cpu --build-arg RUNTIME=cpu --build-arg EXTRA_INDEX_URL=INDEX .
#
# PyPI has no CPU build of PyTorch for Linux: INDEX is one that has it (docs/container.md). Both images have their
# packages from docker/RUNTIME.lock, with hashes, so no index can slip in another file.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG RUNTIME=gpu

# --- The locked packages: a layer that changes with the lock file alone ---------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS packages
ARG RUNTIME
ARG EXTRA_INDEX_URL=""
COPY docker/${RUNTIME}.lock /tmp/packages.lock
# Compiled here, since nobody can write there later, and without times, so that two builds are alike. Some packages
# hold files for a newer Python, which do not compile: the imports show that what counts does.
RUN python3 -m venv --without-pip /opt/parity \
 && PIP_EXTRA_INDEX_URL="${EXTRA_INDEX_URL}" python3 -m pip --python /opt/parity/bin/python install \
      --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /tmp/packages.lock \
 && { /opt/parity/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/parity/lib || true; } \
 && /opt/parity/bin/python -c 'import torch, onnxruntime'

# --- parity itself: small, and changes often ------------------------------------------------------------------------
FROM packages AS parity
COPY pyproject.toml README.md LICENSE /src/
COPY parity /src/parity
RUN python3 -m pip --python /opt/parity/bin/python install --no-cache-dir --no-compile --no-index --no-deps \
      --no-build-isolation --prefix /opt/added /src \
 && /opt/parity/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/added/lib
COPY entrypoint.py /opt/added/entrypoint.py

# --- What is shipped ------------------------------------------------------------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG RUNTIME
COPY --from=packages /opt/parity /opt/parity
COPY --from=parity /opt/added /opt/parity

# The NVIDIA container toolkit reads its two; without them `--gpus all` mounts no driver.
ENV PATH=/opt/parity/bin:${PATH} \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PARITY_RUNTIME=${RUNTIME} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="onnx-parity-action" \
      org.opencontainers.image.description="Tells whether an ONNX model still computes what the PyTorch model computes, and why not" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/org/onnx-parity-action" \
      org.opencontainers.image.documentation="https://github.com/org/onnx-parity-action/blob/main/docs/container.md" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

WORKDIR /workspace
USER 1000:1000
ENTRYPOINT ["/opt/parity/bin/python", "-I", "/opt/parity/entrypoint.py"]
