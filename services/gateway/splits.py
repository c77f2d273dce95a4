"""Divides requests between two versions of a model while a rollout runs, as the rollout service says."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.rollouts import SPLITS_TTL_S, Split, Splits
from libs.kit import clock
from libs.kit.bus import BusClient, Message
from libs.kit.sticky import is_candidates
from services.gateway import capture
from services.gateway.division import Division
from services.gateway.exchange import Exchange
from services.gateway.fleet import Fleet, Target

log = structlog.get_logger(__name__)

TTL_S: Final = SPLITS_TTL_S
_decode = msgspec.json.Decoder(Splits).decode


class Divider:
    """Knows the running splits, as long as somebody speaks of them."""

    def __init__(self, fleet: Fleet) -> None:
        """Divide nothing yet."""
        self.by_name: dict[str, Split] = {}
        """The split of each name; empty most of the time, which the hot path tests first."""
        self._fleet = fleet
        self._newest = (-1, -1)
        self._heard_s = 0.0

    def start(self, bus: BusClient) -> None:
        """Listen to the rollout service."""
        bus.subscribe(subjects.SPLITS, self._on_splits)

    def hear(self, splits: Splits) -> None:
        """Take what the rollout service says, unless something newer was heard."""
        number = (splits.epoch, splits.sequence)
        if number <= self._newest:
            return
        self._newest = number
        self._heard_s = clock.monotonic_s()
        by_name = {name: split for split in splits.splits if _is_sound(split) for name in split.names}
        if by_name != self.by_name:
            shown = {name: (one.rollout, one.step, one.share, one.shadow) for name, one in by_name.items()}
            log.info("requests are divided", epoch=splits.epoch, splits=shown)
        self.by_name = by_name

    def divide(self, exchange: Exchange, named: Target) -> Target:
        """Where a request goes that would go to `named`; the exchange remembers which version was chosen.

        A version that no ready worker serves is passed over: the candidate for the last good version, and that for
        the name itself. What was passed over is no evidence for anybody.
        """
        split = self.by_name.get(exchange.model)
        if split is None or self._is_over():
            return named
        is_chosen = is_candidates(split.rollout, sticky_of(exchange), split.share)
        if is_chosen and not split.shadow:
            target = self._ready(split.candidate, exchange)
            if target is not None:
                exchange.division = Division(split, "candidate", named.pool)
                return target
        target = self._ready(split.baseline, exchange)
        if target is None:
            return named
        if split.shadow or not is_chosen:
            mirrored = is_chosen and exchange.route.path in capture.ROUTES
            exchange.division = Division(split, "baseline", named.pool, mirrored=mirrored)
        return target

    def _ready(self, version: str, exchange: Exchange) -> Target | None:
        return self._fleet.ready(version, exchange.route.path)

    def _is_over(self) -> bool:
        """Whether nobody has spoken for so long that nobody watches; it stops dividing then."""
        if clock.monotonic_s() - self._heard_s <= TTL_S:
            return False
        log.warning("requests are divided no more: the rollout service is silent", names=sorted(self.by_name))
        self.by_name = {}
        return True

    def _on_splits(self, message: Message) -> None:
        try:
            self.hear(_decode(message.payload))
        except msgspec.DecodeError as error:
            log.error("not splits", error=str(error))


def sticky_of(exchange: Exchange) -> str:
    """What keeps its version: the episode, else the user, else this one request."""
    if exchange.episode_id:
        return f"episode:{exchange.episode_id}"
    return f"user:{exchange.user}" if exchange.user else f"request:{exchange.request_id}"


def _is_sound(split: Split) -> bool:
    if 0.0 <= split.share <= 1.0:
        return True
    log.error("not a share", rollout=split.rollout, share=split.share)
    return False
