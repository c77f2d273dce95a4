"""The variables of `docker-compose.yml`: what each says, in which unit, and its default."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Variable:
    """One `${NAME:-default}` of the compose file."""

    name: str
    default: str
    unit: str
    sentence: str


_IMAGE: Final = "image with a tag"
_CPUS: Final = "processors, 0 is no limit"
_BYTES: Final = "bytes, or with M or G"
_COUNT: Final = "count"

VARIABLES: Final = (
    Variable("LLMOS_BIND", "127.0.0.1", "address", "Where the balancer listens on the host; TLS belongs before it."),
    Variable("LLMOS_PORT", "8000", "TCP port", "Port of the balancer on the host."),
    Variable("LLMOS_DOOR_SUBNET", "172.16.246.0/24", "CIDR", "Of the balancer, which gateways believe about clients."),
    Variable("LLMOS_GATEWAYS", "2", _COUNT, "Gateways behind the balancer, 16 at most."),
    Variable("LLMOS_SCHEDULERS", "2", _COUNT, "Schedulers; whichever is left takes over."),
    Variable("LLMOS_CPU_WORKERS", "1", _COUNT, "Inference workers on CPUs; 0 where GPUs serve."),
    Variable("LLMOS_GPU_WORKERS", "1", _COUNT, "Inference workers on GPUs, with the profile `gpu`."),
    Variable("LLMOS_GPUS_PER_WORKER", "1", "count, or all", "GPUs that one worker reserves."),
    Variable("LLMOS_TRAINER_RUNTIME", "cpu", "cpu or gpu", "Which build of torch the trainer's image has."),
    Variable("LLMOS_CPU_THREADS", "1", "threads", "Of one CPU worker's engine; leave a core to everything else."),
    Variable("LLMOS_CPU_KV_CACHE_GIB", "1", "GiB", "Memory of one CPU worker for its cache of keys and values."),
    Variable("LLMOS_CONTENT", "full", "off, metadata, redacted or full", "What is kept of questions and answers."),
    Variable("LLMOS_CAPTURE_CONTENT", "1", "0 or 1", "Whether gateways announce the text of questions and answers."),
    Variable(
        "LLMOS_NATS_SYNC_INTERVAL", "10s", "duration, or always",
        "How long what the bus has acknowledged may be lost in a power cut; `always` syncs first and is slower.",
    ),
    Variable("LLMOS_NATS_TLS", "false", "true or false", "Whether all connections to the bus are encrypted."),
    Variable("LLMOS_NATS_STREAM_BYTES", "1073741824", "bytes", "The most that one stream may take on disk."),
    Variable("LLMOS_NATS_THREADS", "1", "threads", "That NATS may use at the same time."),
    Variable("LLMOS_S3_PUBLIC_URL", "", "URL", "What signed URLs begin with, where not http://s3:8333."),
    Variable("LLMOS_POSTGRES_UID", "999", "user id", "Of `postgres` in that image; 70 in those based on Alpine."),
    Variable("LLMOS_SERVICE_CPUS", "1", _CPUS, "Limit of each service that has none of its own here."),
    Variable("LLMOS_SERVICE_MEMORY", "512M", _BYTES, "The same in memory."),
    Variable("LLMOS_FEEDBACK_CPUS", "1", _CPUS, "Limit of feedback, for it builds data sets."),
    Variable("LLMOS_FEEDBACK_MEMORY", "2G", _BYTES, "The same in memory."),
    Variable("LLMOS_INFERENCE_CPUS", "0", _CPUS, "Limit of a CPU worker."),
    Variable("LLMOS_INFERENCE_MEMORY", "6G", _BYTES, "The same in memory: model, cache of keys and values, 3 GiB."),
    Variable("LLMOS_GPU_INFERENCE_CPUS", "0", _CPUS, "Limit of a GPU worker."),
    Variable("LLMOS_GPU_INFERENCE_MEMORY", "48G", _BYTES, "The same in the host's memory."),
    Variable("LLMOS_TRAINER_CPUS", "0", _CPUS, "Limit of the trainer."),
    Variable("LLMOS_TRAINER_MEMORY", "8G", _BYTES, "The same in memory."),
    Variable("LLMOS_NATS_CPUS", "1", _CPUS, "Limit of NATS."),
    Variable("LLMOS_NATS_MEMORY", "1G", _BYTES, "The same in memory."),
    Variable("LLMOS_POSTGRES_CPUS", "0", _CPUS, "Limit of PostgreSQL."),
    Variable("LLMOS_POSTGRES_MEMORY", "1G", _BYTES, "The same in memory."),
    Variable("LLMOS_S3_CPUS", "0", _CPUS, "Limit of S3."),
    Variable("LLMOS_S3_MEMORY", "1G", _BYTES, "The same in memory."),
    Variable("LLMOS_BALANCER_CPUS", "1", _CPUS, "Limit of the balancer."),
    Variable("LLMOS_BALANCER_MEMORY", "256M", _BYTES, "The same in memory."),
    Variable("LLMOS_GRAFANA_PORT", "3000", "TCP port", "Of Grafana on the host, with the profile `observability`."),
    Variable("LLMOS_METRICS_KEEP", "15d", "duration", "How long Prometheus keeps what it has read."),
    Variable("LLMOS_METRICS_MOST", "4GB", "bytes with a unit", "The most that this may take on disk."),
    Variable("LLMOS_COLLECTOR_CPUS", "1", _CPUS, "Limit of the collector of traces."),
    Variable("LLMOS_COLLECTOR_MEMORY", "512M", _BYTES, "The same in memory, where it keeps the traces."),
    Variable("LLMOS_PROMETHEUS_CPUS", "1", _CPUS, "Limit of Prometheus."),
    Variable("LLMOS_PROMETHEUS_MEMORY", "1G", _BYTES, "The same in memory."),
    Variable("LLMOS_GRAFANA_CPUS", "1", _CPUS, "Limit of Grafana."),
    Variable("LLMOS_GRAFANA_MEMORY", "512M", _BYTES, "The same in memory."),
    Variable("LLMOS_IMAGES", "llmos", "registry and path", "Where our own images are; built here unless pulled."),
    Variable("LLMOS_VERSION", "0.1.0", "tag", "Of our own images."),
    Variable("LLMOS_REVISION", "unknown", "commit", "That our own images are labelled with when they are built."),
    Variable("LLMOS_PIP_CONF", "./deploy/docker/pip.conf", "path", "pip's settings for building images, as a secret."),
    Variable("LLMOS_PYTHON_IMAGE", "python:3.11-slim-bookworm", _IMAGE, "What our own images are built on."),
    Variable("LLMOS_NATS_IMAGE", "nats:2.15.1-alpine", _IMAGE, "NATS; the version that tests use."),
    Variable("LLMOS_POSTGRES_IMAGE", "pgvector/pgvector:0.8.0-pg17", _IMAGE, "PostgreSQL with pgvector."),
    Variable("LLMOS_S3_IMAGE", "chrislusf/seaweedfs:4.48", _IMAGE, "SeaweedFS; the version that tests use."),
    Variable("LLMOS_BALANCER_IMAGE", "haproxy:3.2-alpine", _IMAGE, "HAProxy, 2.6 or later."),
    Variable("LLMOS_COLLECTOR_IMAGE", "jaegertracing/jaeger:2.21.0", _IMAGE, "Jaeger 2, an OpenTelemetry collector."),
    Variable("LLMOS_PROMETHEUS_IMAGE", "prom/prometheus:v3.13.3", _IMAGE, "Prometheus."),
    Variable("LLMOS_GRAFANA_IMAGE", "grafana/grafana:13.1.3", _IMAGE, "Grafana."),
)  # fmt: skip
