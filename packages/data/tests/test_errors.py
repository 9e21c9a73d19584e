import pickle

from fujimi_data.errors import Damage, ShardError


def test_the_message_names_shard_sample_and_byte() -> None:
    damage = Damage(shard="a.tar", sample="00001_00002", offset=512, what="wrong")
    assert str(ShardError(damage)) == "a.tar: sample 00001_00002 at byte 512: wrong"


def test_the_message_leaves_out_what_is_not_known() -> None:
    assert str(Damage(shard="a.tar", what="missing")) == "a.tar: missing"
    assert str(Damage(shard="a.tar", offset=0, what="cut")) == "a.tar: at byte 0: cut"


def test_errors_pass_between_processes() -> None:
    error = ShardError(Damage(shard="a.tar", what="missing"))
    assert pickle.loads(pickle.dumps(error)).damage == error.damage
