"""One module per command; each has `run`, whose parameters are the command's options, or `VERBS`, one such per verb."""

from typing import Final

COMMANDS: Final = {
    "up": "Start the whole stack and watch over it",
    "demo": "See the whole loop: ask, learn from customers, roll out, ask again",
    "chat": "Talk to the model",
    "models": "Publish, fetch and deploy versions of models",
    "feedback": "Judge answers, and see how they were judged",
    "datasets": "Build data sets from judged answers",
    "train": "Make a better version out of a data set",
    "eval": "Measure a version against another",
    "rollout": "Give a better version its share of the requests, step by step",
    "loops": "Names that improve by themselves",
    "jobs": "Trainings and evaluations: see, pause, resume, cancel",
    "tenants": "Projects: what belongs to whom, and what each may use",
    "keys": "API keys: make, list, rotate, revoke",
    "usage": "What was used, by day",
    "audit": "Who did what and when, and whether that record is whole",
    "events": "What happens, as it happens",
    "webhooks": "Have events sent to an address",
    "workers": "Who answers: look, give no new work, drain",
    "queues": "What waits: look, cancel, purge",
    "dead-letters": "What services could not take in: look, replay, drop",
    "settings": "What every service runs with",
    "why": "What shaped an answer",
    "impact": "What a judgement shaped",
    "rebuild": "Make a version again, and compare",
    "status": "What runs, where, and how to reach it",
    "services": "Who answers on the bus, and what each lacks",
    "logs": "What the processes say",
    "down": "Stop everything",
    "doctor": "Check this machine and this checkout",
    "test": "Run the checks and the tests",
    "bench": "Measure, beside other systems",
    "lock": "Resolve the dependencies again and write the lock files",
}
HELP: Final = ("help", "-h", "--help")
