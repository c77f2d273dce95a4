"""The factory of the vLLM engine: everything that must happen before vLLM is imported, then the import."""

from services.inference.engine import Engine, EngineSettings
from services.inference.engines.flags import engine_flags, prepare_environment, runs_on_cpu
from services.inference.engines.model_files import locate, version_of


def build(settings: EngineSettings) -> Engine:
    """What `INFERENCE_ENGINE` names by default. Fetches the model if it is not here, which may take long.

    Raises:
        ModelFilesError: there is no such model, or its files are not what its manifest says.
    """
    directory = locate(settings.model)
    cpu = runs_on_cpu()
    name = settings.model_name
    version = settings.reference or f"{name}@sha256:{version_of(directory)}"
    names = (version,) if settings.reference else (name, f"{name}@champion", version)
    prepare_environment(cpu=cpu)
    # vLLM reads its environment while it is imported.
    from services.inference.engines.vllm_engine import VllmEngine  # noqa: PLC0415

    flags = engine_flags(directory, names, settings.engine_args, cpu=cpu, adapters=settings.adapters)
    return VllmEngine(flags, names, version)
