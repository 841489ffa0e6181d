//! Tokens in the configuration.

use super::{Api, add_token};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_may_lie_in_a_file_of_their_own() {
    let world = World::new().await;
    let made = world.bursar(&["tokens", "new", "mounted", "--role", "read", "--json"]).code(0).json();
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    let lines = format!("[[token]]\nname = \"mounted\"\nrole = \"read\"\nsha256 = \"{}\"\n", text("sha256"));
    let file = world.write("secret/tokens.toml", lines).display().to_string();
    let api = Api::start(&world, &[("BURSAR__HTTP__TOKENS_FILE", &file)]).await;
    assert_eq!(api.get("/openapi.json", &[&format!("authorization: Bearer {}", text("token"))]).status, 200);
    assert_eq!(api.get("/openapi.json", &[]).status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_token_is_named_and_none_is_shown() {
    let world = World::new().await;
    let token = add_token(&world, "twice", "read");
    world.edit("bursar.toml", |text| {
        text.clone()
            + &format!("[[http.token]]\nname = \"twice\"\nrole = \"read\"\nsha256 = \"{token}\"\n")
            + &format!("[[http.token]]\nname = \"a b\"\nrole = \"operate\"\nsha256 = \"{}\"\n", "0".repeat(63))
    });
    let ran = world.bursar(&["check"]).code(78);
    for part in ["a second token is called twice", "\"a b\" is no name", "is no SHA-256", "bursar.toml:"] {
        assert!(ran.messages().contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains(&token), "{}", ran.stderr);
    world.edit("bursar.toml", |text| text.replace("\"operate\"", "\"admin\""));
    let ran = world.bursar(&["check"]).code(78);
    assert!(ran.messages().contains("\"admin\" is not known here; known are read, operate"), "{}", ran.stderr);
    assert_eq!(world.bursar(&["tokens", "new", "a b", "--role", "read"]).code, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_of_tokens_is_named_with_its_line() {
    let world = World::new().await;
    let token = add_token(&world, "reader", "read");
    let file =
        world.write("tokens.toml", format!("[[token]]\nname = \"reader\"\nrole = \"read\"\nsha256 = \"{token}\"\n"));
    let file = file.display().to_string();
    let check = |file: &str| {
        let mut command = world.command(&["check"]);
        command.env("BURSAR__HTTP__TOKENS_FILE", file);
        crate::support::Ran::of(command.output().expect("start bursar")).code(78).stderr
    };
    let said = check(&file);
    assert!(said.contains("tokens.toml:2") && said.contains("a second token is called reader"), "{said}");
    assert!(said.contains("tokens.toml:4") && said.contains("is no SHA-256") && !said.contains(&token), "{said}");
    assert!(check(&format!("{file}.none")).contains("tokens.toml.none"));
}
