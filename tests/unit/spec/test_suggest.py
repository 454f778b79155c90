from mmdist.spec.suggest import did_you_mean, nearest, one_of


def test_nearest() -> None:
    assert nearest("epoch", ["epochs", "seed"]) == "epochs"
    assert nearest("LABEL", ["label", "text"]) == "label"
    assert nearest("label", ["Label"]) == "Label"
    assert nearest("xyzzy", ["epochs", "seed"]) is None
    assert nearest("x", []) is None


def test_wording() -> None:
    assert did_you_mean("adamm", ["adam"]) == "; did you mean `adam`?"
    assert did_you_mean("q", ["adam"]) == ""
    assert one_of(["a"]) == "`a`"
    assert one_of(["a", "b", "c"]) == "`a`, `b` or `c`"
