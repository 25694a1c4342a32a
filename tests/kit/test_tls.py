"""The files in TLS_DIR: which are refused and how that is said, and what becomes of changed ones."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kit.settings import Settings, load
from kit.tls import Tls, TlsDir, identity_of
from tests.support.certificates import Workshop


class Sample(Settings):
    tls_dir: TlsDir | None = None


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def home(workshop: Workshop) -> Path:
    """A TLS_DIR in order."""
    return workshop.issue("auth")


def lose_the_key(home: Path) -> None:
    (home / "tls.key").unlink()


def lose_the_authority(home: Path) -> None:
    (home / "ca.crt").unlink()


def spoil_the_certificate(home: Path) -> None:
    (home / "tls.crt").write_text("-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")


def spoil_the_key(home: Path) -> None:
    (home / "tls.key").write_text("secret")


def mix_two_pairs(home: Path) -> None:
    other = Workshop(home.parent).issue("auth", folder="other")
    (home / "tls.key").write_bytes((other / "tls.key").read_bytes())


def let_it_end(home: Path) -> None:
    Workshop(home.parent).issue("auth", ends_in=timedelta(seconds=-1))


def believe_others(home: Path) -> None:
    other = Workshop(home.parent).issue("auth", folder="other")
    (home / "ca.crt").write_bytes((other / "ca.crt").read_bytes())


def remove_it(home: Path) -> None:
    home.rename(home.with_name("gone"))


def make_it_no_file(home: Path) -> None:
    lose_the_key(home)
    (home / "tls.key").mkdir()


BROKEN: list[tuple[Callable[[Path], None], str, str]] = [
    (lose_the_key, "/auth/tls.key", "is missing; put tls.crt, tls.key and ca.crt there"),
    (lose_the_authority, "/auth/ca.crt", "is missing; put tls.crt, tls.key and ca.crt there"),
    (spoil_the_certificate, "/auth/tls.crt", "holds no certificate in PEM; write it anew"),
    (spoil_the_key, "/auth/tls.key", "holds no private key in PEM without a password; write it anew"),
    (mix_two_pairs, "/auth/tls.key", "does not belong to {}/auth/tls.crt; put the two of one certificate there"),
    (let_it_end, "/auth/tls.crt", "; renew it"),
    (believe_others, "/auth/tls.crt", "was issued by none of the authorities in {}/auth/ca.crt; put theirs there"),
    (remove_it, "/auth", "is no directory; it should hold tls.crt, tls.key and ca.crt"),
    (make_it_no_file, "/auth/tls.key", "cannot be read: Is a directory; give this process's user the right to"),
]


@pytest.mark.parametrize("spoil, file, said", BROKEN, ids=[spoil.__name__ for spoil, *_ in BROKEN])
def test_a_directory_that_is_not_in_order_is_refused_with_the_file_and_what_to_do(
    home: Path,
    *,
    spoil: Callable[[Path], None],
    file: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TLS_DIR", str(home))
    assert load(Sample).tls_dir == home
    spoil(home)
    with pytest.raises(SystemExit) as caught:
        load(Sample)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"TLS_DIR: {home.parent}{file} ")
    assert line.endswith(said.format(home.parent))


@pytest.mark.parametrize(
    "uris, name",
    [
        (["spiffe://privaterouter/edge"], "edge"),
        (["spiffe://elsewhere/edge"], ""),
        (["spiffe://privaterouter/edge", "spiffe://privaterouter/billing"], ""),
        ([], ""),
    ],
)
def test_an_identity_is_the_one_uri_of_our_kind(uris: list[str], name: str) -> None:
    assert identity_of(uris) == name


def test_without_a_directory_there_is_no_certificate_and_no_metric_of_one() -> None:
    assert Tls.of(None) is None
    assert REGISTRY.get_sample_value("tls_certificate_expiry_timestamp_seconds") is None


def metric(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"tls_certificate_{name}", {"identity": "auth"})


def look(tls: Tls) -> None:
    """As `watch` does it: twice, since files count once they have stayed as they are."""
    tls._look()
    tls._look()


def test_a_renewed_certificate_is_followed_and_told(workshop: Workshop, home: Path) -> None:
    tls = Tls(home)
    renewals: list[str] = []
    unsubscribe = tls.subscribe(lambda: renewals.append(tls.identity))
    before = metric("expiry_timestamp_seconds")
    workshop.issue("auth", ends_in=timedelta(days=200))
    look(tls)
    after = metric("expiry_timestamp_seconds")
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(110 * 86_400, abs=60)
    assert renewals == ["auth"]
    unsubscribe()
    workshop.issue("auth", ends_in=timedelta(days=300))
    look(tls)
    assert metric("expiry_timestamp_seconds") != after
    assert renewals == ["auth"]


def test_a_bad_one_is_logged_and_counted_and_the_old_one_kept_until_a_good_one_comes(
    workshop: Workshop, home: Path
) -> None:
    tls = Tls(home)
    renewals: list[None] = []
    tls.subscribe(lambda: renewals.append(None))
    before = metric("expiry_timestamp_seconds")
    workshop.issue("billing", folder="auth")
    with capture_logs() as logged:
        look(tls)
        look(tls)
    (line,) = logged
    assert (line["event"], line["log_level"]) == ("certificate_refused", "error")
    assert line["error"] == f"{home / 'tls.crt'} is that of billing, not of auth"
    assert metric("rejected") == 1
    assert (tls.identity, metric("expiry_timestamp_seconds"), renewals) == ("auth", before, [])
    workshop.issue("auth")
    look(tls)
    assert (metric("rejected"), renewals) == (0, [None])


def test_the_same_content_again_is_no_renewal(home: Path) -> None:
    tls = Tls(home)
    renewals: list[None] = []
    tls.subscribe(lambda: renewals.append(None))
    (home / "tls.crt").write_bytes((home / "tls.crt").read_bytes())
    look(tls)
    assert renewals == []


def test_files_count_once_they_have_stayed_as_they_are_for_a_look(workshop: Workshop, home: Path) -> None:
    tls = Tls(home)
    renewals: list[None] = []
    tls.subscribe(lambda: renewals.append(None))
    other = workshop.issue("auth", folder="other")
    for name in ("tls.crt", "tls.key"):
        (home / name).write_bytes((other / name).read_bytes())
        tls._look()
        assert (metric("rejected"), renewals) == (0, [])
    tls._look()
    assert (metric("rejected"), renewals) == (0, [None])
    (home / "tls.key").write_text("half a key")
    tls._look()
    tls._look()
    assert (metric("rejected"), renewals) == (1, [None])
