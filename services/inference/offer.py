"""The names that a worker answers to and the version behind each; what its beats say of that."""

from collections.abc import Callable, Iterable

from libs.contracts.inference import ServedModel


class Offer:
    """Read by whoever accepts requests; changed as a whole, so that nobody sees half a change."""

    def __init__(self, models: Iterable[ServedModel] = (), *, pinned: bool = False) -> None:
        """Begin with `models`.

        Args:
            models: every name that is served.
            pinned: whether the engine knows each version by its own reference, so that a request keeps its version
                when its name moves; else the engine knows the names themselves.
        """
        self.models = tuple(models)
        self.versions = {model.name: model.version for model in self.models}
        self.revision = 0
        self.missing: tuple[str, ...] = ()
        self.base = ""
        self.error = ""
        self.on_change: Callable[[], None] = _nobody
        self._pinned = pinned

    def engine_name(self, name: str) -> str:
        """What the engine calls that which answers to `name` now; asked once per request, when it is accepted.

        Raises:
            KeyError: the name is not offered.
        """
        return self.versions[name] if self._pinned else name

    def change(
        self, *, models: tuple[ServedModel, ...], revision: int, missing: tuple[str, ...] = (), error: str = ""
    ) -> None:
        """Offer these from now on; `on_change` hears of it if anything differs."""
        if (models, revision, missing, error) == (self.models, self.revision, self.missing, self.error):
            return
        self.models, self.revision, self.missing, self.error = models, revision, missing, error
        self.versions = {model.name: model.version for model in models}
        self.on_change()


def _nobody() -> None:
    """Nobody listens yet."""
