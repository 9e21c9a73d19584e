"""The pre-training still scales to all of Fugaku."""


def test_scales(simulated):
    run = simulated("pretrain.toml", machine="fugaku", nodes=[1024, 158976])
    assert run.parallel_efficiency > 0.85
    assert run.memory_fits
