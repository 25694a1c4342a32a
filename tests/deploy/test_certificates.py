"""The certificates that the command makes: for whom, for how long, and who may read them."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from cli.__main__ import build
from cli.certificates import names
from deploy import certificates
from deploy.certificates import CertificatesError, bring_up_to_date
from kit.tls import read

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
IDENTITIES = {"auth": ["auth", "auth.example.svc"], "edge": []}


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())


def test_each_process_gets_a_directory_that_it_accepts(tmp_path: Path) -> None:
    runner = CliRunner()
    made = runner.invoke(build(), ["certificates", str(tmp_path / "made"), "--namespace", "example"])
    assert (made.exit_code, made.output) == (
        0,
        f"{tmp_path / 'made'}: new for edge, operator, auth, catalog, billing, usage\n",
    )
    for identity in ("edge", "operator", "auth", "catalog", "billing", "usage"):
        assert read(tmp_path / "made" / identity, now=datetime.now(UTC)).identity == identity
    again = runner.invoke(build(), ["certificates", str(tmp_path / "made"), "--namespace", "example"])
    assert (again.exit_code, again.output) == (0, f"{tmp_path / 'made'}: up to date\n")
    other = runner.invoke(build(), ["certificates", str(tmp_path / "made")])
    assert other.output == f"{tmp_path / 'made'}: new for auth, catalog, billing, usage\n"


def test_services_go_by_the_names_of_a_cluster_and_callers_by_none() -> None:
    assert names("")["auth"] == ["auth"]
    assert names("example")["billing"] == [
        "billing",
        "billing.example",
        "billing.example.svc",
        "billing.example.svc.cluster.local",
    ]
    assert names("example")["edge"] == names("")["operator"] == []


def test_a_certificate_says_who_and_where_and_for_what(tmp_path: Path) -> None:
    bring_up_to_date(tmp_path, IDENTITIES, now=NOW)
    for identity, hosts, purposes in (
        ("auth", IDENTITIES["auth"], [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
        ("edge", [], [ExtendedKeyUsageOID.CLIENT_AUTH]),
    ):
        made = certificate(tmp_path / identity)
        alternatives = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert alternatives.get_values_for_type(x509.UniformResourceIdentifier) == [
            f"spiffe://privaterouter/{identity}"
        ]
        assert alternatives.get_values_for_type(x509.DNSName) == hosts
        assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == purposes
        assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert made.not_valid_after_utc == NOW + timedelta(days=365)


def test_keys_are_for_their_owner_only_and_the_authority_is_in_no_process_directory(tmp_path: Path) -> None:
    bring_up_to_date(tmp_path / "made", IDENTITIES, now=NOW)
    modes = {str(file.relative_to(tmp_path)): stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("[!.]*")}
    assert modes == {
        "made": 0o700,
        **{f"made/{folder}": 0o700 for folder in ("authority", "auth", "edge")},
        **{f"made/{folder}/tls.key": 0o600 for folder in ("authority", "auth", "edge")},
        **{f"made/{folder}/tls.crt": 0o644 for folder in ("authority", "auth", "edge")},
        **{f"made/{folder}/ca.crt": 0o644 for folder in ("auth", "edge")},
    }
    authority_key = (tmp_path / "made/authority/tls.key").read_bytes()
    assert all((tmp_path / f"made/{name}/tls.key").read_bytes() != authority_key for name in ("auth", "edge"))


def test_what_ends_in_less_than_30_days_is_renewed_and_nothing_else(tmp_path: Path) -> None:
    assert bring_up_to_date(tmp_path, IDENTITIES, now=NOW) == ["auth", "edge"]
    authority = certificate(tmp_path / "authority")
    early = NOW + timedelta(days=335)
    assert bring_up_to_date(tmp_path, IDENTITIES, now=early) == []
    (tmp_path / "edge" / "tls.key").unlink()
    assert bring_up_to_date(tmp_path, IDENTITIES, now=early) == ["edge"]
    assert bring_up_to_date(tmp_path, IDENTITIES, now=early + timedelta(seconds=1)) == ["auth"]
    assert certificate(tmp_path / "authority") == authority
    assert certificate(tmp_path / "auth").not_valid_after_utc == early + timedelta(days=365, seconds=1)


def test_no_certificate_outlives_the_authority_which_says_when_it_ends_itself(tmp_path: Path) -> None:
    bring_up_to_date(tmp_path, IDENTITIES, now=NOW)
    last_year = NOW + timedelta(days=3610)
    bring_up_to_date(tmp_path, IDENTITIES, now=last_year)
    assert certificate(tmp_path / "auth").not_valid_after_utc == NOW + timedelta(days=3650)
    with pytest.raises(CertificatesError, match=r"ends at 2036.*move the whole directory away"):
        bring_up_to_date(tmp_path, IDENTITIES, now=NOW + timedelta(days=3625))


def test_an_authority_whose_key_is_lost_is_not_replaced_in_silence(tmp_path: Path) -> None:
    bring_up_to_date(tmp_path, IDENTITIES, now=NOW)
    before = (tmp_path / "authority" / "tls.crt").read_bytes()
    (tmp_path / "authority" / "tls.key").unlink()
    with pytest.raises(CertificatesError, match=r"holds no usable tls.crt and tls.key: put them back"):
        bring_up_to_date(tmp_path, IDENTITIES, now=NOW)
    assert (tmp_path / "authority" / "tls.crt").read_bytes() == before


def test_those_of_another_authority_are_made_anew(tmp_path: Path) -> None:
    bring_up_to_date(tmp_path, IDENTITIES, now=NOW)
    stranger = certificates.authority(now=NOW)
    certificates.write(certificates.issue(stranger, "edge", names=[], now=NOW), tmp_path / "edge")
    assert bring_up_to_date(tmp_path, IDENTITIES, now=NOW) == ["edge"]


def test_a_directory_that_cannot_be_made_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = CliRunner().invoke(build(), ["certificates", str(tmp_path / "file" / "made")])
    assert answer.exit_code == 1
    assert answer.output.startswith("No certificates were made: ")
    assert len(answer.output.splitlines()) == 1
