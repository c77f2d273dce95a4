"""The keyed heap equals a sorted dictionary, whatever is done to it."""

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.heap import KeyedHeap

_OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "pop"]), st.integers(0, 30), st.integers(0, 9)), max_size=400
)


@given(_OPERATIONS)
def test_it_equals_a_sorted_dictionary(operations: list[tuple[str, int, int]]) -> None:
    heap: KeyedHeap[int] = KeyedHeap()
    naive: dict[int, int] = {}
    for operation, member, key in operations:
        if operation == "set":
            heap.set(member, key)
            naive[member] = key
        elif operation == "drop":
            heap.drop(member)
            naive.pop(member, None)
        elif (first := heap.first()) is not None:
            heap.drop(first[1])
            del naive[first[1]]
        assert heap.first() == min(((key, member) for member, key in naive.items()), default=None)
        assert len(heap) == len(naive)


def test_dead_records_do_not_pile_up() -> None:
    heap: KeyedHeap[int] = KeyedHeap()
    for number in range(100_000):
        heap.set(number, -number)
        heap.drop(number - 10)
    assert len(heap._records) < 200
