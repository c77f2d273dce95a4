# The services that hold no engine. Targets: `service` (gateway, scheduler, registry, rollout, the jobs that set an
# installation up) and `feedback` (the same and what builds data sets).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS installer
WORKDIR /opt/llmos
ENV PYTHONPATH=/opt/llmos UV_LINK_MODE=copy
COPY cli/__init__.py cli/
COPY cli/bootstrap cli/bootstrap
COPY requirements/embedded.in requirements/uv.txt requirements/

FROM installer AS service-packages
COPY requirements/base.txt requirements/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip_conf \
    PIP_CONF=/run/secrets/pip_conf python -m cli.bootstrap.image base

FROM installer AS feedback-packages
COPY requirements/services.txt requirements/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip_conf \
    PIP_CONF=/run/secrets/pip_conf python -m cli.bootstrap.image services

FROM ${PYTHON_IMAGE} AS code
WORKDIR /opt/llmos
COPY libs libs
COPY services services
COPY deploy deploy
RUN python -m compileall -q --invalidation-mode unchecked-hash libs services deploy

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="llmos" \
      org.opencontainers.image.description="An operating system for language models that learns from the people who use it." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 llmos && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp llmos
WORKDIR /opt/llmos
ENV PATH=/opt/llmos/.venv/bin:$PATH PYTHONPATH=/opt/llmos PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001

FROM runtime AS feedback
COPY --link --from=feedback-packages /opt/llmos/.venv .venv
COPY --link --from=code /opt/llmos .
CMD ["python", "-m", "services.feedback"]

FROM runtime AS service
COPY --link --from=service-packages /opt/llmos/.venv .venv
COPY --link --from=code /opt/llmos .
CMD ["python", "-m", "services.gateway"]
