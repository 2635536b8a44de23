import pytest
from malformed import COLUMNS, FIT, SCORE

from vae_anomaly import TableSchema
from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.kinds import find_schema
from vae_anomaly.batch.source import ReadOptions, Source


def by_name(cases):
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


def written(case, folder):
    path = folder / case.file
    path.write_bytes(case.content)
    return path


def check(error, case):
    message = str(error.value)
    assert "\n" not in message
    assert case.file in message or "--" in message
    for word in case.words:
        assert word in message


@by_name(FIT)
def test_what_cannot_be_trained_on_is_refused_by_name(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(TableError) as error:
        find_schema(Source.open([path], ReadOptions(**case.read)), **case.find)
    check(error, case)


@by_name(SCORE)
def test_what_cannot_be_scored_is_refused_by_name(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(TableError) as error:
        list(Source.open([path], ReadOptions(**case.read)).frames(TableSchema(COLUMNS)))
    check(error, case)
