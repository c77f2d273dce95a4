"""All SQL of the registry: functions on an open connection, one module per thing stored."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Text, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY


def among(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Whether the column holds one of `values`; however many they are, they are one parameter."""
    return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))
