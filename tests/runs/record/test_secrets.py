from __future__ import annotations

import pytest

from lighter.runs.record.secrets import Secrets

SECRETS = Secrets.of(
    {
        "STORE_API_KEY": "open-sesame",
        "PGPASSWORD": "elephants",
        "MYSQL_PWD": "dolphins",
        "PWD": "/here/and/there",
        "PIN_KEY": "1234",
        "KEYBOARD": "qwertyuiop",
        "X_TOKEN": "/a/file/of",
    }
)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("logger::api_key=open-sesame", "logger::api_key=***"),
        ("logger::api_key=abc", "logger::api_key=***"),
        ("elephants, dolphins and /here/and/there", "***, *** and /here/and/there"),
        ("a={_target_: X, api_key: abc, n: 1}", "a={_target_: X, api_key: ***, n: 1}"),
        ("DB_PASSWORD: 'a b c'", "DB_PASSWORD: '***'"),
        ("system::token=abc", "system::token=***"),
        ("url=https://me:pw@host/x?access_token=abc&n=1", "url=https://***@host/x?access_token=***&n=1"),
        ("postgres://me:p%40@host:5/db", "postgres://***@host:5/db"),
        ("s3://bucket/x?X-Amz-Signature=abc&X-Amz-Date=1", "s3://bucket/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("as ghp_" + "a1" * 18, "as ***"),
        ("api_key=$os.environ['KEY']", "api_key=$os.environ['KEY']"),
        ("api_key=@vars::key", "api_key=@vars::key"),
        ("vars::secret::x=5", "vars::secret::x=5"),
        ("pad_token=<pad>", "pad_token=<pad>"),
        ("num_tokens=5", "num_tokens=5"),
        ("tokenizer=bert", "tokenizer=bert"),
        ("primary_key=id", "primary_key=id"),
        ("1234 qwertyuiop /a/file/of", "1234 qwertyuiop /a/file/of"),
        ("git@github.com:a/b s3://bucket/a@b", "git@github.com:a/b s3://bucket/a@b"),
    ],
)
def test_in_overrides_secrets_are_hidden_and_nothing_else(text: str, hidden: str) -> None:
    assert SECRETS.hide_named(text) == hidden


def test_in_a_patch_code_is_kept() -> None:
    code = "diff --git a/x.py b/x.py\n+def f(password: str, token=None):\n+    api_key = load(password)\n"
    assert SECRETS.hide_in_patch(code) == code
    data = "diff --git a/x.yaml b/x.yaml\n+password: hunter2\n"
    assert SECRETS.hide_in_patch(code + data) == code + data.replace("hunter2", "***")
    assert SECRETS.hide_in_patch(code + "+  API_KEY = 'abc'\n+  x = 'open-sesame'\n") == (
        code + "+  API_KEY = '***'\n+  x = '***'\n"
    )


def test_they_do_not_show_themselves() -> None:
    assert "sesame" not in repr(SECRETS)
