//! The derive of the `sockling` crate, without a parser of Rust: it needs the type's name only.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use proc_macro::{TokenStream, TokenTree};

/// Implements `Controller` for a type that implements `WebsocketController`: each request is
/// answered by opening the WebSocket.
///
/// ```ignore
/// #[derive(Default, macros::WebsocketController)]
/// struct Echo;
/// ```
///
/// A type with generics is refused with the lines to write instead.
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
        Err(why) => format!("::core::compile_error!({:?});", why),
    };
    code.parse().expect("the text above is Rust")
}

/// Returns the name behind `struct`, `enum` or `union`.
fn name(item: TokenStream) -> Result<String, String> {
    let mut tokens = item.into_iter();
    // Attributes and visibility come as `#` and groups, and as identifiers that are none of these.
    let is_kind = |token: &TokenTree| match token {
        TokenTree::Ident(word) => ["struct", "enum", "union"].contains(&word.to_string().as_str()),
        _ => false,
    };
    let kind = tokens.find(is_kind);
    match (kind, tokens.next(), tokens.next()) {
        (Some(_), Some(TokenTree::Ident(name)), Some(TokenTree::Punct(angle)))
            if angle.as_char() == '<' =>
        {
            Err(format!(
                "WebsocketController cannot be derived for a type with generics; write instead: \
                 impl<...> Controller for {}<...> {{ fn handle(&self, request: &Request) -> \
                 Result<Response, Error> {{ WebsocketController::handle(self, request) }} }}",
                name
            ))
        }
        (Some(_), Some(TokenTree::Ident(name)), _) => Ok(name.to_string()),
        _ => Err("WebsocketController is derived for a struct or an enum".to_string()),
    }
}
