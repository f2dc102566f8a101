"""Scopes in operators' names."""

from __future__ import annotations

from search.export.drawing.scopes import MOST_SHOWN, collapsed_at_first, scope_tree


def test_scopes_are_the_modules_in_the_names():
    tree = scope_tree(["/a/a.0/conv/Conv", "/a/a.0/act/Relu", "/a/a.1/conv/Conv", "/a/a.1/act/Relu", "/head/Gemm"])
    assert [scope.path for scope in tree.scopes] == ["a", "a.0", "a.1"]
    assert [scope.parent for scope in tree.scopes] == [None, 0, 0]
    assert [scope.size for scope in tree.scopes] == [4, 2, 2]
    assert tree.scope_of == (1, 1, 2, 2, None)


def test_a_scope_of_one_or_of_everything_is_left_out():
    tree = scope_tree(["/model/block.0/Conv", "/model/block.0/Relu", "/model/tail/Gemm"])
    assert [scope.path for scope in tree.scopes] == ["model.block"]
    assert tree.scope_of == (0, 0, None)


def test_names_without_modules_have_no_scope():
    tree = scope_tree(["Conv_0", "Relu_1", "<script>"])
    assert tree.scopes == ()
    assert tree.scope_of == (None, None, None)


def test_parents_come_first_and_sizes_add_up():
    names = [f"/s{i % 3}/b{i % 7}/l{i % 2}/op{i}" for i in range(200)]
    tree = scope_tree(names)
    for index, scope in enumerate(tree.scopes):
        assert scope.parent is None or scope.parent < index
        inside = sum(index in chain(tree, node) for node in range(len(names)))
        assert inside == scope.size


def chain(tree, node):
    found, at = [], tree.scope_of[node]
    while at is not None:
        found.append(at)
        at = tree.scopes[at].parent
    return found


def test_a_small_drawing_starts_open_and_a_large_one_collapsed():
    names = [f"/stage{i // 50}/stage{i // 50}.{i // 10}/op{i}" for i in range(1500)]
    assert collapsed_at_first(scope_tree(names[:300])) == ()
    tree = scope_tree(names)
    closed = collapsed_at_first(tree)
    shown = {next((at for at in chain(tree, node) if at in closed), -1 - node) for node in range(1500)}
    assert closed
    assert len(shown) <= MOST_SHOWN


def test_a_large_drawing_without_scopes_starts_open():
    assert collapsed_at_first(scope_tree([f"Conv_{i}" for i in range(1500)])) == ()
