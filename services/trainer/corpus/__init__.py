"""The help desk of an invented shop: what it sells, how people ask, how it answers, and how answers are judged."""
