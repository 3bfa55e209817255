//! The OpenAPI description of the web tier, 3.1. Adds the parts that many calls have in common.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::header::ContentType;
use actix_web::web::ServiceConfig;
use actix_web::{HttpResponse, get};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{access, api, article, control};
use crate::experiment::plan::Factor;
use crate::experiment::report::PageData;
use crate::experiment::statistics::Metric;
use crate::runtime::http::{Access, ErrorAnswer};
use crate::web::experiments::api as experiments_api;
use crate::web::history::api as history_api;
use crate::web::hub::DashboardMessage;
use crate::web::load;
use crate::wire::Hop;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "swarmq",
        description = "The web tier's API. Every error is an `ErrorAnswer`, except where the article's program \
                       responds otherwise. A known path supports HEAD where it has GET, responds to OPTIONS with `Allow`, and \
                       to other methods with 405.",
        contact(name = "The authors of swarmq"),
    ),
    servers((url = "/", description = "This web tier")),
    tags(
        (name = "requests", description = "Requests with tasks and parameters, and their replies"),
        (name = "dispatcher", description = "The calls of the article's Node.js program, and a call to disconnect"),
        (name = "topology", description = "The instances of the deployment and the links between them"),
        (name = "figures", description = "The deployment's totals, rates, capacity, and usage by node"),
        (name = "events", description = "What has happened in the deployment"),
        (name = "load", description = "Load that the web tier generates"),
        (name = "control", description = "Changes to the running deployment"),
        (name = "experiments", description = "Plans, the running experiment, and stored runs"),
    ),
    paths(
        api::create,
        api::read,
        api::replies,
        api::topology,
        api::figures,
        article::connect,
        article::request,
        article::disconnect,
        load::start_load,
        load::read_load,
        load::stop_load,
        control::read,
        control::set_workers,
        control::set_delay,
        control::set_dispatch,
        control::set_faults,
        control::clear_faults,
        control::clear_all_faults,
        control::panic_worker,
        control::stall_worker,
        experiments_api::overview,
        experiments_api::check,
        experiments_api::running,
        experiments_api::stop,
        experiments_api::start,
        experiments_api::list,
        experiments_api::read,
        experiments_api::remove,
        experiments_api::compare,
        experiments_api::file,
        history_api::events,
    ),
    components(schemas(ErrorAnswer, DashboardMessage, PageData, Metric, Factor, Hop))
)]
struct Description;

/// The OpenAPI description as JSON.
pub static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let mut all = json!(Description::openapi());
    for (path, methods) in all["paths"].as_object_mut().into_iter().flatten() {
        for (method, call) in methods.as_object_mut().into_iter().flatten() {
            complete(path, method, call);
        }
    }
    // What is no body of a call: the messages of the WebSocket, and the data in a page of results.
    all["x-data"] = json!({ "/ws": reference("DashboardMessage"), "report.html": reference("PageData") });
    let schemas = all["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let named = schemas.into_iter().map(|(name, schema)| (schema["enum"].to_string(), name)).collect();
    all["components"]["schemas"].as_object_mut().into_iter().flatten().for_each(|(_, schema)| tidy(schema, &named));
    all
});

/// A reference to a schema of the description.
fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Refers to enumerations by name, which utoipa repeats in the keys of maps and in tuples, and says how long tuples are.
fn tidy(schema: &mut Value, named: &BTreeMap<String, String>) {
    if let Some(length) = schema["prefixItems"].as_array().map(Vec::len) {
        (schema["items"], schema["minItems"], schema["maxItems"]) = (json!({}), json!(length), json!(length));
    }
    let parts: Vec<&mut Value> = match schema {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => vec![],
    };
    for part in parts {
        match part.get("enum").and_then(|values| named.get(&values.to_string())) {
            Some(name) => *part = reference(name),
            None => tidy(part, named),
        }
    }
}

/// Adds the error responses that follow from a call's parameters, body and access.
fn complete(path: &str, method: &str, call: &mut Value) {
    call["tags"] = json!([path.split('/').nth(3)]);
    if call.get("description").is_none() {
        call["description"] = call["summary"].clone();
    }
    let takes = |place: &str| call["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == place));
    let open = access()
        .iter()
        .any(|route| route.0.as_str().eq_ignore_ascii_case(method) && route.1 == path && route.2 == Access::Open);
    let errors = [
        (
            takes("query") || call.get("requestBody").is_some(),
            "400",
            "The query or the body does not match the description",
        ),
        (!open, "403", "A page of another site makes the call, or a control call lacks the token"),
        (takes("path"), "404", "Nothing with this name exists"),
        (call.get("requestBody").is_some(), "408", "The body did not arrive in time"),
        (call.get("requestBody").is_some(), "413", "The body is too large"),
        (call.get("requestBody").is_some(), "415", "The body is not JSON, or is compressed"),
        (call.get("requestBody").is_some(), "422", "The fields contradict each other"),
        (true, "default", "Any other error"),
    ];
    let content = json!({ "application/json": { "schema": reference("ErrorAnswer") } });
    for (_, status, text) in errors.into_iter().filter(|error| error.0) {
        if call["responses"].get(status).is_none() {
            call["responses"][status] = json!({ "description": text, "content": content });
        }
    }
}

/// This OpenAPI description.
#[get("/api/v1/openapi.json")]
async fn description() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DESCRIPTION.to_string())
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(description);
}

#[cfg(all(test, feature = "dashboard"))]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_types_of_the_page_are_those_of_the_description() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut node = Command::new("node")
            .arg("wire/types.mjs")
            .current_dir(&web)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js, which bundled the page, makes its types");
        node.stdin.take().unwrap().write_all(DESCRIPTION.to_string().as_bytes()).unwrap();
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success(), "web/wire/types.mjs failed");
        let path = web.join("src/wire.ts");
        if std::env::var_os("UPDATE_TYPES").is_some() {
            fs::write(&path, &output.stdout).unwrap();
        }
        let same = fs::read(&path).is_ok_and(|text| text == output.stdout);
        assert!(same, "{} is out of date; run: UPDATE_TYPES=1 cargo test --lib the_types_of_the_page", path.display());
    }
}
