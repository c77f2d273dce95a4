# The services that hold torch. RUNTIME=cpu|gpu says which build of vLLM and torch; CUDA's libraries come as packages of
# the lock, only the driver is the host's. Targets: `inference`, `trainer`; they share their largest layer.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ARG RUNTIME=cpu
WORKDIR /opt/llmos
ENV PYTHONPATH=/opt/llmos UV_LINK_MODE=copy
COPY cli/__init__.py cli/
COPY cli/bootstrap cli/bootstrap
COPY requirements/embedded.in requirements/uv.txt requirements/${RUNTIME}.txt requirements/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip_conf \
    PIP_CONF=/run/secrets/pip_conf LLMOS_DEVICE=${RUNTIME} python -m cli.bootstrap.image ${RUNTIME}

FROM ${PYTHON_IMAGE} AS code
WORKDIR /opt/llmos
COPY libs libs
COPY services services
COPY deploy deploy
RUN python -m compileall -q --invalidation-mode unchecked-hash libs services deploy

FROM ${PYTHON_IMAGE} AS runtime
ARG RUNTIME=cpu
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="llmos engine (${RUNTIME})" \
      org.opencontainers.image.description="An operating system for language models that learns from the people who use it." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# libnuma: vLLM on CPUs asks it where memory is. A compiler: Triton makes its launchers on the spot, on GPUs only.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnuma1 $([ "${RUNTIME}" = gpu ] && echo gcc libc6-dev) \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 llmos \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp llmos
WORKDIR /opt/llmos
ENV PATH=/opt/llmos/.venv/bin:$PATH PYTHONPATH=/opt/llmos PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
COPY --link --from=packages /opt/llmos/.venv .venv
COPY --link --from=code /opt/llmos .
USER 10001:10001

FROM runtime AS trainer
CMD ["python", "-m", "services.trainer"]

FROM runtime AS inference
CMD ["python", "-m", "services.inference"]
