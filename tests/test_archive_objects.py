"""
Objects in archives: which classes may come, who is who, which version it is, and MFC's collections.
"""

from __future__ import annotations

import gc
import struct
from typing import Any

import pytest
from _archives import OURS, CAge, CNode, COldAge, fed, fromMemory, serialized, stored
from test_archive import cause

from twisted_casync.archive import (
    IMPLEMENT_SERIAL,
    INT,
    RUNTIME_CLASS,
    UINT,
    VERSIONABLE_SCHEMA,
    WORD,
    ArchiveLimits,
    CArchive,
    CArray,
    CByteArray,
    ClassRegistry,
    CList,
    CMap,
    CMapStringToOb,
    CMapStringToString,
    CObArray,
    CObject,
    CObList,
    CPoint,
    CRuntimeClass,
    CString,
    CStringA,
    CStringArray,
    CStringList,
    CWordArray,
    Serialized,
)


def new(name: str, schema: int = 1) -> bytes:
    """
    A new class.
    """
    return struct.pack("<HHH", 0xFFFF, schema, len(name)) + name.encode()


# -- which classes may come


def test_a_class_that_is_not_in_the_registry_is_refused() -> None:
    assert cause(lambda: fed(new("CUnknown") + bytes(8)) >> CObject) == "badClass"
    # Nor is the base, nor what only has its name from the module.
    assert cause(lambda: fed(new("CObject", 0xFFFF) + bytes(8)) >> CObject) == "badClass"
    assert cause(lambda: fed(new("os.system") + bytes(8)) >> CObject) == "badClass"


def test_an_archive_has_the_registry_that_it_is_given() -> None:
    data = stored(CAge(5))
    age = CArchive(None, CArchive.load, classes=ClassRegistry(CAge))
    age.feed(data)
    assert age >> CAge is not None
    for registry in (ClassRegistry(), ClassRegistry(CNode), None):
        ar = CArchive(None, CArchive.load, classes=registry)
        ar.feed(data)
        assert cause(lambda ar=ar: ar >> CObject) == "badClass"  # type: ignore[misc]
    collections = CArchive(None, CArchive.load)
    collections.feed(stored(CStringList(["a"])))
    assert collections >> CStringList == ["a"]


def test_a_class_is_what_was_asked_for_or_derived_from_it() -> None:
    for requested in (CAge, CObject, None, RUNTIME_CLASS(CAge)):
        assert fed(stored(CAge(5))).ReadObject(requested) is not None
        derived = fed(stored(COldAge(5))).ReadObject(requested)
        assert type(derived) is COldAge
    assert cause(lambda: fed(stored(CAge(5))) >> COldAge) == "badClass"
    assert cause(lambda: fed(stored(CNode())) >> CAge) == "badClass"


def test_also_an_object_that_has_come_before_is_what_was_asked_for() -> None:
    node = CNode()
    ar = fed(stored(node, node))
    assert ar >> CNode is not None
    assert cause(lambda: ar >> CAge) == "badClass"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", CObject, 1), ValueError),
        (("C" * 64, CObject, 1), ValueError),
        (("Cé", CObject, 1), ValueError),
        (("CX", CObject, 0xFFFF), ValueError),
        (("CX", CObject, -1), ValueError),
        (("CX", CObject, VERSIONABLE_SCHEMA | 0x10000), ValueError),
        (("CX", CAge, 1), TypeError),
    ],
)
def test_what_can_not_stand_in_an_archive(arguments: tuple[str, type[CObject], int], error: type[Exception]) -> None:
    class CX(CObject):
        pass

    with pytest.raises(error):
        IMPLEMENT_SERIAL(*arguments, classes=ClassRegistry())(CX)


def test_a_name_is_one_class_s() -> None:
    registry = ClassRegistry(CAge)
    registry.add(CAge)

    class COther(CObject):
        pass

    with pytest.raises(ValueError, match="CAge"):
        IMPLEMENT_SERIAL("CAge", CObject, 1, classes=registry)(COther)
    with pytest.raises(TypeError, match="IMPLEMENT_SERIAL"):
        ClassRegistry(CObject)
    assert [known.m_lpszClassName for known in registry] == ["CAge"]


def test_the_longest_name_and_the_largest_schema() -> None:
    registry = ClassRegistry()

    @IMPLEMENT_SERIAL("C" * 63, CObject, 0xFFFE, classes=registry)
    class CLong(CObject):
        pass

    data = stored(CLong())
    assert data == new("C" * 63, 0xFFFE)
    ar = CArchive(None, CArchive.load, classes=registry)
    ar.feed(data)
    assert isinstance(ar >> CLong, CLong)


def test_what_is_known_of_a_class() -> None:
    known = RUNTIME_CLASS(COldAge)
    assert (known.m_lpszClassName, known.m_wSchema) == ("COldAge", VERSIONABLE_SCHEMA | 3)
    assert known.m_pBaseClass is RUNTIME_CLASS(CAge)
    assert RUNTIME_CLASS(CAge).m_pBaseClass is RUNTIME_CLASS(CObject) and RUNTIME_CLASS(CObject).m_pBaseClass is None
    assert known.IsDerivedFrom(RUNTIME_CLASS(CAge)) and not RUNTIME_CLASS(CAge).IsDerivedFrom(known)
    assert isinstance(known.CreateObject(), COldAge)
    assert COldAge().IsKindOf(CAge) and COldAge().IsKindOf(known) and not CAge().IsKindOf(COldAge)
    assert CAge().IsSerializable() and not CObject().IsSerializable()
    with pytest.raises(TypeError):
        RUNTIME_CLASS(int)  # type: ignore[arg-type]


def test_a_class_without_the_macro_is_written_as_its_base_or_not_at_all() -> None:
    """As in C++, where GetRuntimeClass is the base's."""

    class CYoung(CAge):
        pass

    class CPlain(CObject):
        pass

    assert stored(CYoung(5)) == stored(CAge(5))
    ar = CArchive(None, CArchive.store)
    with pytest.raises(TypeError, match="CPlain needs IMPLEMENT_SERIAL"):
        ar << CPlain()
    for wrong in (5, "text"):
        with pytest.raises(TypeError, match="CObject"):
            ar.WriteObject(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="CObject"):
            ar.MapObject(wrong)  # type: ignore[arg-type]
    assert ar.IsBufferEmpty()


# -- who is who


def test_objects_are_the_same_by_identity_not_by_equality() -> None:
    one, other = CStringArray(["same"]), CStringArray(["same"])
    assert one == other
    ar = fed(stored(CObArray([one, other, one])))
    array = ar >> CObArray
    assert array is not None
    assert array[0] is array[2] and array[0] is not array[1]


def test_an_object_that_is_gone_gives_its_identity_to_nobody() -> None:
    ar = CArchive(None, CArchive.store)
    for years in range(100):
        ar << CAge(years)
        gc.collect(0)
    loading = fed(ar.takeStored())
    assert [getattr(loading >> CAge, "m_years", None) for _ in range(100)] == list(range(100))


def test_rings_and_diamonds_come_back() -> None:
    first, second = CNode(), CNode()
    first.m_pNext, second.m_pNext = second, first
    shared = CAge(1)
    ar = fed(stored(first, CMapStringToOb({"a": shared, "b": CObArray([shared])})))
    node = ar >> CNode
    assert node is not None and node.m_pNext is not None
    assert node.m_pNext is not node and node.m_pNext.m_pNext is node
    found = ar >> CMapStringToOb
    assert found is not None and found["a"] is found["b"][0]


BIG = 0x7FFE


def test_indices_beyond_a_word() -> None:
    """TN002: what is larger than 0x7FFE is written as 0x7FFF and a DWORD."""
    ages = [CAge(number) for number in range(BIG)]  # the class is 1, these are 2 to 0x7FFF
    ar = CArchive(None, CArchive.store)
    for age in ages:
        ar << age
    ar.takeStored()
    ar << ages[-2] << ages[-1] << CNode() << CNode() << ages[0]
    tail = ar.takeStored()
    assert (
        tail
        == (
            b"\xfe\x7f"  # index 0x7FFE, the last that fits
            b"\xff\x7f\xff\x7f\0\0"  # index 0x7FFF: the object
            + new("CNode", 0)  # index 0x8000: the class
            + b"\0\0"  # index 0x8001: a node, and no next one
            b"\xff\x7f\0\x80\0\x80"  # 0x80000000 | 0x8000: an object of that class, 0x8002
            b"\0\0"  # no next one
            b"\2\0"  # index 2
        )
    )
    loading = fed(stored(*ages) + tail, limits=ArchiveLimits(nMaxItem=1 << 20))
    back = [loading >> CAge for _ in range(BIG)]
    assert loading >> CAge is back[-2]
    assert loading >> CAge is back[-1]
    one, two = loading >> CNode, loading >> CNode
    assert one is not two and isinstance(two, CNode)
    assert loading >> CAge is back[0]
    assert loading.IsBufferEmpty()


def test_a_small_index_in_the_big_form_is_read_too() -> None:
    data = stored(CAge(5))
    loading = fed(data + struct.pack("<HI", 0x7FFF, 2) + struct.pack("<HI", 0x7FFF, 0x80000001) + b"\7\0\0\0")
    first = loading >> CAge
    assert loading >> CAge is first
    third = loading >> CAge
    assert third is not None and third.m_years == 7


@pytest.mark.parametrize(
    "tag",
    [
        b"\3\0",  # an object that has not come
        b"\1\0",  # a class, as an object
        b"\2\x80",  # an object, as a class
        b"\3\x80",  # a class that has not come
        b"\0\x80",  # the class of index 0
        b"\xfe\xff",  # the last small class
        struct.pack("<HI", 0x7FFF, 3),
        struct.pack("<HI", 0x7FFF, 1),
        struct.pack("<HI", 0x7FFF, 0x80000000),
        struct.pack("<HI", 0x7FFF, 0x80000002),
        struct.pack("<HI", 0x7FFF, 0xFFFFFFFF),
    ],
    ids=bytes.hex,
)
def test_an_index_of_something_else_is_refused(tag: bytes) -> None:
    loading = fed(stored(CAge(5)) + tag + bytes(8))
    assert loading >> CAge is not None
    assert cause(lambda: loading >> CObject) == "badIndex"


def test_a_class_alone_is_no_object() -> None:
    assert cause(lambda: fed(b"\0\0").ReadClass()) == "badIndex"
    assert cause(lambda: fed(stored(CAge(1)) + b"\2\0") >> (CAge, CArchive.ReadClass)) == "badIndex"
    ar = CArchive(None, CArchive.store)
    ar.WriteClass(CAge)
    ar.WriteClass(RUNTIME_CLASS(CAge))
    ar << CAge(5)
    loading = fed(ar.takeStored())
    assert loading.ReadClass() is loading.ReadClass(CAge) is RUNTIME_CLASS(CAge)
    assert loading >> CAge is not None
    loading.feed(b"\1\x80")
    assert cause(lambda: loading.ReadClass(CNode)) == "badClass"


# -- which version


def test_another_version_is_refused_unless_the_class_reads_it() -> None:
    assert cause(lambda: fed(new("CAge", 2) + bytes(4)) >> CAge) == "badSchema"
    old = fed(new("COldAge", 1) + b"\5\0\0\0" + b"\1\x80" + b"\6\0\0\0")
    first, second = old >> COldAge, old >> COldAge
    assert first is not None and second is not None
    # The second has the version of its class, which came with the first.
    assert (first.nSchema, first.m_name, second.nSchema, second.m_years) == (1, "nobody", 1, 6)
    same = fed(stored(COldAge(5, "Lisa"))) >> COldAge
    assert same is not None and (same.nSchema, same.m_name) == (3, "Lisa")


def test_a_version_is_told_once_and_belongs_to_its_object() -> None:
    registry = ClassRegistry(CAge)
    told: list[int] = []

    @IMPLEMENT_SERIAL("COuter", CObject, VERSIONABLE_SCHEMA | 9, classes=registry)
    class COuter(CObject):
        def Serialize(self, ar: CArchive) -> None:
            if ar.IsStoring():
                ar << CAge(1)
            else:
                ar >> CAge
                told.extend([ar.GetObjectSchema(), ar.GetObjectSchema()])
                ar.SetObjectSchema(7)
                told.append(ar.GetObjectSchema())

    ar = CArchive(None, CArchive.load, classes=registry)
    ar.feed(stored(COuter()))
    ar >> COuter
    assert told == [9, UINT(-1), 7]
    assert ar.GetObjectSchema() == UINT(-1)


def test_a_base_has_its_own_version_by_serialize_class() -> None:
    registry = ClassRegistry()

    @IMPLEMENT_SERIAL("CBase", CObject, VERSIONABLE_SCHEMA | 1, classes=registry)
    class CBase(CObject):
        def __init__(self) -> None:
            self.nBase = 0

        def Serialize(self, ar: CArchive) -> None:
            if ar.IsLoading():
                self.nBase = ar.GetObjectSchema()

    @IMPLEMENT_SERIAL("CDerived", CBase, VERSIONABLE_SCHEMA | 5, classes=registry)
    class CDerived(CBase):
        def Serialize(self, ar: CArchive) -> None:
            if ar.IsLoading():
                self.nDerived = ar.GetObjectSchema()
            ar.SerializeClass(CBase)
            super().Serialize(ar)

    ar = CArchive(None, CArchive.load, classes=registry)
    ar.feed(stored(CDerived(), CDerived()))
    for _ in range(2):
        found = ar >> CDerived
        assert found is not None and (found.nDerived, found.nBase) == (5, 1)
    assert stored(CDerived()) == new("CDerived", 5) + new("CBase", 1)


# -- collections


def test_an_array_is_replaced_and_a_list_and_a_map_grow() -> None:
    """As MFC's: SetSize, AddTail, SetAt."""
    array, strings = CStringArray(["old"]), CStringList(["old"])
    table, octets = CMapStringToString({"old": "1", "k": "2"}), CByteArray(b"old")
    fromMemory(serialized(CStringArray(["new"]))) >> (lambda ar: array.Serialize(ar))
    fromMemory(serialized(CStringList(["new"]))) >> (lambda ar: strings.Serialize(ar))
    fromMemory(serialized(CMapStringToString({"k": "v"}))) >> (lambda ar: table.Serialize(ar))
    fromMemory(serialized(CByteArray(b"new"))) >> (lambda ar: octets.Serialize(ar))
    assert (list(array), list(strings), dict(table)) == (["new"], ["old", "new"], {"old": "1", "k": "v"})
    assert bytes(octets) == b"new"


def test_the_members_of_mfc_s_collections() -> None:
    array = CWordArray()
    assert (array.Add(5), array.Add(6), array.GetSize(), array.GetCount(), array.GetAt(1)) == (0, 1, 2, 2, 6)
    array.SetAt(0, 7)
    assert array == [7, 6] and not array.IsEmpty()
    array.RemoveAll()
    assert array.IsEmpty()
    strings = CStringList()
    strings.AddTail("b")
    strings.AddHead("a")
    strings.AddTail(CStringList(["c", "d"]))
    strings.AddHead(CStringList(["x", "y"]))
    assert strings == ["x", "y", "a", "b", "c", "d"]
    assert (strings.GetHead(), strings.GetTail(), strings.RemoveHead(), strings.RemoveTail()) == ("x", "d", "x", "d")
    table = CMapStringToOb()
    table.SetAt("a", None)
    assert (table.GetCount(), table.GetSize(), table.Lookup("b"), table.RemoveKey("a"), table.RemoveKey("a")) == (
        *(1, 1, None, True, False),
    )
    assert table.IsEmpty()
    table.SetAt("a", None)
    table.RemoveAll()
    assert table == {}
    octets = CByteArray(b"ab")
    assert (octets.GetSize(), octets.GetCount()) == (2, 2)
    octets.RemoveAll()
    assert octets == b""


@pytest.mark.parametrize("TYPE", [CAge, CPoint, CString, CStringA, Serialized(CAge), INT])
def test_a_collection_of_any_type(TYPE: Any) -> None:
    elements: dict[Any, list[Any]] = {
        CAge: [CAge(1), None, COldAge(2)],
        CPoint: [CPoint(1, 2)],
        CString: ["a", "é" * 300],
        CStringA: ["a", "é" * 300],
        INT: [1, -1],
    }
    values = elements.get(TYPE, [CAge(1), CAge(2)])
    for kind in (CArray, CList):
        data = serialized(kind(values, TYPE=TYPE))
        back = fed(data) >> Serialized(lambda kind=kind: kind(TYPE=TYPE))  # type: ignore[misc]
        assert serialized(back) == data and len(back) == len(values)
        assert (b"\xff\xfe\xff" in data) is (TYPE in (CString, CAge))
    table = CMap(dict(enumerate(values)), KEY=WORD, VALUE=TYPE)
    data = serialized(table)
    assert serialized(fed(data) >> Serialized(lambda: CMap(KEY=WORD, VALUE=TYPE))) == data


def test_numbers_in_a_collection_are_cast_and_the_rest_must_fit() -> None:
    assert serialized(CWordArray([70000])) == b"\1\0" + struct.pack("<H", 4464)
    wrong: list[CObject] = [CStringList([5]), CObList(["text"]), CArray([5], TYPE=CPoint), CWordArray(["x"])]
    for ob in wrong:
        with pytest.raises((TypeError, ValueError)):
            serialized(ob)


def test_a_typed_pointer_collection_admits_its_class_alone() -> None:
    data = serialized(CObList([CAge(1), CNode()]))
    assert len(fed(data) >> Serialized(CObList)) == 2
    assert cause(lambda: fed(data) >> Serialized(lambda: CObList(TYPE=CAge))) == "badClass"


def test_the_tuning_of_mfc_s_tables_changes_nothing() -> None:
    ar = CArchive(None, CArchive.store)
    ar.SetStoreParams(nHashSize=101, nBlockSize=16)
    ar << CAge(5)
    data = ar.takeStored()
    assert data == stored(CAge(5))
    loading = fed(data)
    loading.SetLoadParams(nGrowBy=16)
    assert loading >> CAge is not None


def test_every_collection_of_mfc_is_registered_with_version_0() -> None:
    known = {entry.m_lpszClassName: entry for entry in OURS}
    names = {"CByteArray", "CWordArray", "CDWordArray", "CStringArray", "CObArray", "CStringList", "CObList"}
    names |= {"CMapStringToString", "CMapStringToOb", "CMapWordToOb"}
    assert names < set(known)
    assert {known[name].m_wSchema for name in names} == {0}
    assert all(isinstance(entry, CRuntimeClass) for entry in known.values())
