//! The JSON schema of a config file, in which every setting is optional, and prices and remotes may be in tables.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{SETTINGS, Settings, sentence};

impl Settings {
    /// The JSON schema of a config file.
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        schema["title"] = "Configuration of cargo xcache".into();
        schema["description"] = "`.config/xcache.toml` of a workspace, or `config.toml` of a user.".into();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
        }
        let properties = &mut schema["properties"];
        for setting in SETTINGS {
            let description = format!("{} (default: {})", sentence(setting.summary), setting.default);
            properties[setting.name]["description"] = description.into();
        }
        let price = |name: &'static str| Some((name.strip_prefix("price-")?.to_owned(), properties[name].clone()));
        let prices: Map<_, _> = SETTINGS.iter().filter_map(|setting| price(setting.name)).collect();
        properties["report"] = json!({
            "description": "Settings of the report",
            "type": "object",
            "properties": {
                "prices": {
                    "description": "`core-minute` here is `price-core-minute`",
                    "type": "object",
                    "properties": prices,
                    "additionalProperties": false,
                },
            },
            "required": ["prices"],
            "additionalProperties": false,
        });
        let remote = json!({
            "type": "object",
            "properties": { "url": { "description": "The URL of the remote", "type": "string" } },
            "required": ["url"],
            "additionalProperties": {
                "description": "An option of the service",
                "type": ["string", "boolean", "integer"],
            },
        });
        properties["remote"] = json!({
            "description": properties["remote"]["description"],
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "use": { "description": "The name of the table to use", "type": "string" } },
                    "additionalProperties": remote,
                },
            ],
        });
        schema
    }
}

/// The schema of a size: a string with a unit, or a number of bytes.
pub(super) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer"], "minimum": 0 })
}
