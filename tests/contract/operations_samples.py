"""One sample of every message between operators and all services, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import effective as e
from libs.contracts import letters as d

LETTER: Final = d.Letter(
    id="rollout-7",
    service="rollout",
    consumer="rollout__signal_recorded",
    stream="EVT_FEEDBACK",
    subject="evt.feedback.signal.recorded.v1",
    message_id="e1",
    reason="ValidationError: it is no such event",
    time_ms=2,
    stored_ms=1,
    size_bytes=3,
    digest="ab" * 32,
)
SETTING: Final = e.Setting(name="ROLLOUT_RETRY_S", value="0.5", source="default", unit="s")
SECRET: Final = e.Setting(name="ROLLOUT_NATS__PASSWORD", value="set", source="environment", is_secret=True)

OPERATIONS_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "Death": d.Death(
        consumer="rollout__signal_recorded",
        stream="EVT_FEEDBACK",
        subject="evt.feedback.signal.recorded.v1",
        reason="ValidationError: it is no such event",
        time_ms=2,
        reply="$JS.ACK.EVT_FEEDBACK.rollout__signal_recorded.1.5.6.1000000.0",
        headers="TkFUUw==",
    ),
    "Letter": LETTER,
    "FindLetters": d.FindLetters(6, 2),
    "LetterPage": d.LetterPage((LETTER,), 7),
    "LetterPlace": d.LetterPlace(7, "ops"),
    "LetterText": d.LetterText(LETTER, "{"),
    "FindAllLetters": d.FindAllLetters(service="rollout", after="rollout-6", limit=2),
    "AllLetters": d.AllLetters(letters=(LETTER,), away=("audit",), next="rollout-7"),
    "LetterRef": d.LetterRef(id="rollout-7", author="ops"),
    "LetterThatWaits": msgspec.structs.replace(LETTER, waits=True),
    "EffectiveSettings": e.Settings(service="rollout", settings=(SETTING, SECRET), away=True, instance="r1"),
    "ChangedSetting": e.Setting(name="ROLLOUT_LOG_LEVEL", value="DEBUG", source="default", was="INFO"),
    "SetLogLevel": e.SetLogLevel(level="DEBUG", author="ops"),
    "ProcessLogLevel": e.ProcessLogLevel(instance="r1", level="DEBUG", was="INFO", away=True),
    "ChangeLogLevel": e.ChangeLogLevel(service="rollout", level="DEBUG", instance="r1", author="ops"),
    "LogLevels": e.LogLevels(service="rollout", processes=(e.ProcessLogLevel(instance="r1", level="DEBUG"),)),
    "AllEffectiveSettings": e.AllSettings((e.Settings(service="rollout"),)),
    "FindSettings": e.FindSettings("rollout"),
}
