//! The document says everything of these routes.

use super::Api;
use crate::support::World;
use serde_json::Value;

const PATHS: [&str; 12] = [
    "/customers",
    "/customers/contact",
    "/customers/open-ar",
    "/customers/{id}",
    "/customers/{id}/open-ar",
    "/customers/{id}/statement",
    "/invoices",
    "/invoices/aging",
    "/invoices/dso",
    "/invoices/past-due",
    "/invoices/summary/month",
    "/invoices/{invoice_number}",
];

/// Every schema that is reached from a value.
fn reached(document: &Value, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next())
                && !found.iter().any(|known| known == name)
            {
                found.push(name.to_owned());
                reached(document, &document["components"]["schemas"][name], found);
            }
            members.values().for_each(|member| reached(document, member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| reached(document, item, found)),
        _ => {}
    }
}

/// The properties of a schema, those of its parts included.
fn properties(schema: &Value) -> Vec<(String, Value)> {
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(properties);
    own.chain(parts).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_and_every_field_is_described_with_an_example() {
    let world = World::new().await;
    let api = Api::start(&world).await;
    let document = api.get("/openapi.json");
    let mut lacking = Vec::new();
    for path in PATHS {
        let operation = &document["paths"][path]["get"];
        let parameters = operation["parameters"].as_array().expect("parameters");
        for parameter in parameters {
            let is_shown = parameter.get("example").is_some()
                || parameter["schema"].get("default").is_some()
                || parameter["schema"]["type"] == "boolean";
            if !is_shown || parameter["description"].as_str().is_none_or(str::is_empty) {
                lacking.push(format!("{path} {}", parameter["name"]));
            }
        }
        let mut schemas = Vec::new();
        reached(&document, &operation["responses"]["200"], &mut schemas);
        assert!(!schemas.is_empty(), "{path}");
        for schema in schemas.iter().filter(|name| !name.ends_with("Page")) {
            let found = &document["components"]["schemas"][schema];
            assert!(found.is_object(), "{schema} is not there");
            for (name, property) in properties(found) {
                let is_shown = ["example", "examples", "$ref", "items"].iter().any(|key| property.get(key).is_some());
                if !is_shown || property["description"].as_str().is_none_or(str::is_empty) {
                    lacking.push(format!("{schema}.{name}: {property}"));
                }
            }
        }
    }
    assert_eq!(lacking, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_parameters_are_what_is_taken() {
    let world = World::new().await;
    let api = Api::start(&world).await;
    let document = api.get("/openapi.json");
    for path in PATHS {
        let (mut target, mut query) = (path.to_owned(), Vec::new());
        for parameter in document["paths"][path]["get"]["parameters"].as_array().expect("parameters") {
            let Some(example) = parameter.get("example") else { continue };
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let name = parameter["name"].as_str().expect("a name");
            target = target.replace(&format!("{{{name}}}"), &super::encoded(&example));
            if parameter["in"] == "query" {
                query.push(format!("{name}={}", super::encoded(&example)));
            }
        }
        let answer = api.ask(&format!("{target}?{}", query.join("&")), "");
        assert!([200, 404].contains(&answer.status), "{target}: {}", answer.body);
    }
}
