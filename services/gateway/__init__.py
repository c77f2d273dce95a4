"""The front door: takes HTTP in the dialects of OpenAI and Anthropic, puts requests on the bus, relays the answers."""
