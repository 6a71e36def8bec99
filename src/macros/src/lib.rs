//! The derive macro of the `sockling` crate. It does not parse Rust, because it needs only the name
//! of the type.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use proc_macro::{TokenStream, TokenTree};

/// Implements `Controller` for a type that implements `WebsocketController`, by opening a WebSocket
/// for every request.
///
/// ```ignore
/// #[derive(Default, macros::WebsocketController)]
/// struct Echo;
/// ```
///
/// A generic type is a compile error, whose message shows the code to write instead.
#[proc_macro_derive(WebsocketController)]
pub fn websocket_controller(item: TokenStream) -> TokenStream {
    let code = match name(item) {
        Ok(name) => format!(
            "#[automatically_derived]
            impl ::sockling::controller::Controller for {name} {{
                fn handle(
                    &self,
                    request: &::sockling::http::Request,
                ) -> ::core::result::Result<::sockling::http::Response, ::sockling::Error> {{
                    ::sockling::controller::WebsocketController::handle(self, request)
                }}
            }}",
            name = name
        ),
        Err(error) => format!("::core::compile_error!({:?});", error),
    };
    code.parse().expect("the code above is valid Rust")
}

/// Returns the name after `struct`, `enum`, or `union`, or the text of a compile error.
fn name(item: TokenStream) -> Result<String, String> {
    let mut tokens = item.into_iter();
    // The attributes and the visibility before the keyword have none of these identifiers outside
    // their groups.
    let is_keyword = |token: &TokenTree| match token {
        TokenTree::Ident(word) => ["struct", "enum", "union"].contains(&word.to_string().as_str()),
        _ => false,
    };
    let keyword = tokens.find(is_keyword);
    match (keyword, tokens.next(), tokens.next()) {
        (Some(_), Some(TokenTree::Ident(name)), Some(TokenTree::Punct(angle)))
            if angle.as_char() == '<' =>
        {
            Err(format!(
                "WebsocketController cannot be derived for a generic type; write instead: \
                 impl<...> Controller for {}<...> {{ fn handle(&self, request: &Request) -> \
                 Result<Response, Error> {{ WebsocketController::handle(self, request) }} }}",
                name
            ))
        }
        (Some(_), Some(TokenTree::Ident(name)), _) => Ok(name.to_string()),
        _ => Err("WebsocketController can be derived for a struct or an enum".to_string()),
    }
}
