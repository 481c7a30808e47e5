extern crate proc_macro;
use proc_macro::TokenStream;

fn literal(text: &str) -> TokenStream { format!("{text:?}").parse().unwrap() }
fn argument(input: TokenStream) -> String { input.to_string().trim_matches('"').to_owned() }

#[proc_macro]
pub fn report_all(_: TokenStream) -> TokenStream { literal(&report().join("\n")) }

#[proc_macro]
pub fn of_variable(input: TokenStream) -> TokenStream { literal(&variable(&argument(input))) }

#[proc_macro]
pub fn of_undeclared(input: TokenStream) -> TokenStream { literal(&undeclared(&argument(input))) }

#[proc_macro]
pub fn of_package(_: TokenStream) -> TokenStream {
    literal(&["CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_PKG_DESCRIPTION", "CARGO_CRATE_NAME"].map(variable).join(" "))
}

#[proc_macro]
pub fn of_file(input: TokenStream) -> TokenStream {
    let path = format!("{}/{}", variable("CARGO_MANIFEST_DIR"), argument(input));
    literal(std::fs::read_to_string(path).unwrap().trim())
}

#[proc_macro]
pub fn of_out_dir(input: TokenStream) -> TokenStream {
    let path = format!("{}/{}", variable("OUT_DIR"), argument(input));
    literal(std::fs::read_to_string(path).unwrap().trim())
}
