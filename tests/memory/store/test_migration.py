import sqlite3
from multiprocessing import get_context

import pytest
from sqlalchemy import create_engine, text

from agentkit import StoreError, StoreVersionError
from agentkit.memory import Memory
from agentkit.memory.store.schema import SCHEMA_VERSION

# A database of schema version 1, as the code of that version wrote it: never to be changed.
VERSION_1 = """
BEGIN TRANSACTION;
CREATE TABLE agentkit_meta (
    "key" VARCHAR(50) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
);
INSERT INTO "agentkit_meta" VALUES('schema','1');
CREATE TABLE agentkit_object (
    session VARCHAR(200) NOT NULL,
    number INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (session, number)
);
INSERT INTO "agentkit_object" VALUES('shop',1,'{"session":"shop","number":1,"question":"Which order did Zoë make?","actions":[{"reference":"t1.s1","tool":"find_order","input":{"customer":"Zoë"},"ok":true,"facts":{"order_id":"ORD-4471","total":12.5},"failure":""}],"variables":[],"files":[],"output":"ORD-4471.","stop_reason":"answered","version":1}');
INSERT INTO "agentkit_object" VALUES('shop',2,'{"session":"shop","number":2,"question":"Refund it","actions":[{"reference":"t2.s1","tool":"refund","input":{"order_id":"ORD-4471"},"ok":false,"facts":{},"failure":"failed: the order is too old"}],"variables":[],"files":[],"output":"It is too old.","stop_reason":"answered","version":1}');
INSERT INTO "agentkit_object" VALUES('other',1,'{"session":"other","number":1,"question":"hello","actions":[],"variables":[],"files":[],"output":"Hi.","stop_reason":"answered","version":1}');
CREATE TABLE agentkit_step (
    session VARCHAR(200) NOT NULL,
    number INTEGER NOT NULL,
    place INTEGER NOT NULL,
    at FLOAT NOT NULL,
    call TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (session, number, place)
);
INSERT INTO "agentkit_step" VALUES('shop',1,0,1700000001.0,'{"tool":"find_order","tool_input":{"customer":"Zoë"},"call_id":"c1","round":1,"plan":"I will look.","thinking":""}','{"observation":"{\\"order_id\\": \\"ORD-4471\\", \\"total\\": 12.5}","ok":true,"result":{"ok":true,"error":null,"artifacts":[],"duration_s":0.25,"facts":null}}');
INSERT INTO "agentkit_step" VALUES('shop',2,0,1700000003.0,'{"tool":"refund","tool_input":{"order_id":"ORD-4471"},"call_id":"c2","round":2,"plan":"","thinking":""}','{"observation":"failed: the order is too old","ok":false,"result":{"ok":false,"error":"failed","artifacts":[],"duration_s":0.0,"facts":null}}');
INSERT INTO "agentkit_step" VALUES('shop',3,0,1700000006.0,'{"tool":"wait","tool_input":{},"call_id":"c3","round":1,"plan":"","thinking":""}',NULL);
CREATE TABLE agentkit_turn (
    session VARCHAR(200) NOT NULL,
    number INTEGER NOT NULL,
    state VARCHAR(12) NOT NULL,
    owner TEXT NOT NULL,
    question TEXT NOT NULL,
    at FLOAT NOT NULL,
    payload TEXT,
    PRIMARY KEY (session, number)
);
INSERT INTO "agentkit_turn" VALUES('shop',1,'closed','','Which order did Zoë make?',1700000000.0,'{"input":"Which order did Zoë make?","output":"ORD-4471.","session":"shop","number":1,"citations":[],"usage":{"input_tokens":0,"output_tokens":0,"model_calls":0},"stop_reason":"answered","thinking":"","duration_s":0.0,"version":1}');
INSERT INTO "agentkit_turn" VALUES('shop',2,'closed','','Refund it',1700000002.0,'{"input":"Refund it","output":"It is too old.","session":"shop","number":2,"citations":[],"usage":{"input_tokens":0,"output_tokens":0,"model_calls":0},"stop_reason":"answered","thinking":"","duration_s":0.0,"version":1}');
INSERT INTO "agentkit_turn" VALUES('other',1,'closed','','hello',1700000004.0,'{"input":"hello","output":"Hi.","session":"other","number":1,"citations":[],"usage":{"input_tokens":0,"output_tokens":0,"model_calls":0},"stop_reason":"answered","thinking":"","duration_s":0.0,"version":1}');
INSERT INTO "agentkit_turn" VALUES('shop',3,'open','["a-dead-machine", 1, "", 0]','and now?',1700000005.0,NULL);
COMMIT;
"""


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def old(request, tmp_path):
    """What to give `Memory` for a database of version 1."""
    if request.param == "file":
        with sqlite3.connect(tmp_path / "m.db") as database:
            database.executescript(VERSION_1)
        database.close()
        return tmp_path / "m.db"
    url = request.getfixturevalue("postgres_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in VERSION_1.split(";\n"):
            if statement.strip() not in ("", "BEGIN TRANSACTION", "COMMIT;", "COMMIT"):
                connection.exec_driver_sql(statement)
    engine.dispose()
    return url


def test_version_1_is_read_and_searched(old):
    with Memory(old) as memory:
        assert {info.name: info.turns for info in memory.sessions()} == {"shop": 3, "other": 1}
        first, second = memory.turns("shop")
        assert first.steps[0].observation == '{"order_id": "ORD-4471", "total": 12.5}'
        assert (second.steps[0].ok, second.output) == (False, "It is too old.")
        assert memory.objects("shop")[0].actions[0].facts == {"order_id": "ORD-4471", "total": 12.5}
        assert [hit.reference for hit in memory.search("shop", "4471 customer")] == ["t1.s1", "t1", "t2.s1"]
        assert {hit.reference for hit in memory.search("shop", "zoe")} == {"t1.s1", "t1"}
        running = memory.begin("shop", "go on")
        assert running.number == 4
        running.interrupt()
        assert memory.turns("shop")[2].stop_reason == "interrupted", "what a dead machine left open is closed"
        assert memory.search("shop", "wait")[0].reference == "t3.s1"


def test_it_is_done_once(old):
    for _ in range(2):
        with Memory(old) as memory:
            assert len(memory.search("shop", "4471")) == 3
    with Memory(old) as memory, memory._store()._db.reading() as connection:
        assert connection.execute(text("SELECT value FROM agentkit_meta")).scalar() == str(SCHEMA_VERSION)


def test_a_damaged_turn_does_not_stop_it(old):
    engine = create_engine(old if isinstance(old, str) else f"sqlite:///{old}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE agentkit_step SET call = '{' WHERE number = 1"))
    engine.dispose()
    with Memory(old) as memory:
        assert [hit.reference for hit in memory.search("shop", "old")] == ["t2", "t2.s1"]
        with pytest.raises(StoreError, match="Turn 1 of session 'shop'"):
            memory.turns("shop")
        assert memory.delete("shop") == 3
        assert len(memory.search("other", "hello")) == 1


def _open(place: str, number: int) -> int:
    with Memory(place, timeout_s=30) as memory:
        memory.append(f"new{number}", memory.turns("shop")[0])
        return len(memory.search("shop", "4471"))


def test_several_processes_migrate_at_once(old):
    with get_context("spawn").Pool(4) as pool:
        assert pool.starmap(_open, [(str(old), n) for n in range(4)]) == [3] * 4


def test_a_version_that_cannot_be_read(old):
    engine = create_engine(old if isinstance(old, str) else f"sqlite:///{old}")
    for value, error, said in (("99", StoreVersionError, "update agentkit"), ("new", StoreError, "'new'.*restore")):
        with engine.begin() as connection:
            connection.execute(text("UPDATE agentkit_meta SET value = :value"), {"value": value})
        with Memory(old) as memory, pytest.raises(error, match=said):
            memory.sessions()
    engine.dispose()
