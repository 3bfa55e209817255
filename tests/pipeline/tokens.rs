//! Tokens as people have them, and files that others can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Child, Web};

fn write(path: &Path, text: &str, mode: u32) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn is_permitted(web: &Web, shown: &str) -> bool {
    let answer = web.call("GET", "/api/v1/control", &[("authorization", shown)]).await;
    answer.json()["permitted"] == true
}

#[actix_rt::test]
async fn a_token_out_of_an_editor_is_the_one_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("token"), "\u{feff}s3cret\r\n", 0o600);
    for (key, value) in [("admin.token_file", &*path), ("admin.token", "\"s3cret\"")] {
        let mut child = Child::start(&[], &[(key, value)]);
        let web = child.web().await;
        for shown in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret"] {
            assert!(is_permitted(&web, shown).await, "{key}: {shown}");
        }
        assert!(!is_permitted(&web, "Bearer s3cre").await);
        child.stop().await;
    }
}

#[actix_rt::test]
async fn a_secret_that_every_user_can_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("token"), "s3cret", 0o644);
    let mut child = Child::start(&[], &[("admin.token_file", &path)]);
    let line = child.message("every user of this machine can read this secret").await;
    assert_eq!((&line["setting"], &line["file"]), (&"admin.token".into(), &path.into()), "{line}");
    child.stop().await;
}
