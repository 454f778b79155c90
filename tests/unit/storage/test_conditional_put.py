from pathlib import Path

from mmdist.storage.conditional_put import Credentials, find_credentials, sign


def test_a_request_is_signed_as_aws_documents_it() -> None:
    """AWS's own example of a PUT: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    headers = sign(
        "PUT",
        "https://examplebucket.s3.amazonaws.com/test%24file.text",
        {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        b"Welcome to Amazon S3.",
        "us-east-1",
        Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        1369353600.0,
    )
    assert headers["x-amz-date"] == "20130524T000000Z"
    assert headers["authorization"].endswith(
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_credentials_come_from_the_environment_or_a_profile(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b%c\n"
        "[other]\naws_access_key_id = d\naws_secret_access_key = e\naws_session_token = f\n"
    )
    at = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    assert find_credentials(at) == Credentials("a", "b%c")
    assert find_credentials({**at, "AWS_PROFILE": "other"}) == Credentials("d", "e", "f")
    assert find_credentials({**at, "AWS_PROFILE": "none"}) is None
    assert find_credentials({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}) is None
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    assert find_credentials({**at, **keys}) == Credentials("k", "s", "t")
