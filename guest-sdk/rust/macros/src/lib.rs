//! `#[derive(Declare)]`: turns the fields of an operator's struct into its declaration. tidemill-sdk re-exports it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Fields, LitStr, spanned::Spanned};

/// Derives `tidemill_sdk::Declare` for an operator's struct.
///
/// Each field declares itself by its type (`Value`, `Map`, `List`, `Reducing`, `Aggregating`, `BroadcastMap` and the like, `OperatorList`, `Output`, `Input`,
/// `EventTimer`, `ProcessingTimer`, `Counter`, `Gauge`, `Histogram`, `Config`, `Context`) under its own name, `_` written
/// as `-`. On fields: `#[declare(name = "...")]` gives another name, `#[declare(skip)]` keeps a field out (it starts as its
/// type's default, and is memory of one instance only). On state fields `#[declare(ttl = "10s")]` (ms, s, m, h, d) lets entries
/// last that long after they were written; with it `clock = "event"` (the watermark instead of the clock on the wall) and
/// `refresh = "read-and-write"`. On the struct: `#[declare(name = "...")]` instead of the crate's
/// name, `#[declare(watermarks)]` to be told of watermarks.
#[proc_macro_derive(Declare, attributes(declare))]
pub fn declare(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    skip: bool,
    watermarks: bool,
    ttl: Option<LitStr>,
    clock: Option<LitStr>,
    refresh: Option<LitStr>,
}

/// The `Ttl` of a field's options.
fn ttl(options: &Options) -> syn::Result<Option<TokenStream>> {
    let wrong = |text: &LitStr, mend: &str| Err(syn::Error::new(text.span(), mend));
    let Some(text) = &options.ttl else {
        return match options.clock.as_ref().or(options.refresh.as_ref()) {
            Some(text) => wrong(text, "`clock` and `refresh` are of `ttl`; write `ttl = \"10s\"` with them"),
            None => Ok(None),
        };
    };
    let value = text.value();
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &value[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let ms = digits.parse::<i64>().ok().and_then(|n| n.checked_mul(unit_ms)).filter(|ms| (1..1 << 53).contains(ms));
    let Some(ms) = ms else {
        return wrong(text, "write a duration above 0, as \"500ms\", \"10s\", \"5m\", \"1h\" or \"2d\"");
    };
    let clock = match options.clock.as_ref().map(LitStr::value).as_deref() {
        None | Some("processing") => quote!(ProcessingTime),
        Some("event") => quote!(EventTime),
        Some(_) => return wrong(options.clock.as_ref().unwrap_or(text), "write \"event\" or \"processing\""),
    };
    let refresh = match options.refresh.as_ref().map(LitStr::value).as_deref() {
        None | Some("write") => quote!(Write),
        Some("read-and-write") => quote!(ReadAndWrite),
        Some(_) => return wrong(options.refresh.as_ref().unwrap_or(text), "write \"write\" or \"read-and-write\""),
    };
    Ok(Some(quote!(::tidemill_sdk::descriptor::Ttl {
        ms: #ms,
        clock: ::tidemill_sdk::descriptor::TtlClock::#clock,
        refresh: ::tidemill_sdk::descriptor::TtlRefresh::#refresh,
    })))
}

fn options(attributes: &[Attribute], on_field: bool) -> syn::Result<Options> {
    let mut options = Options::default();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("declare")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                options.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("skip") && on_field {
                options.skip = true;
            } else if meta.path.is_ident("ttl") && on_field {
                options.ttl = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("clock") && on_field {
                options.clock = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("refresh") && on_field {
                options.refresh = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("watermarks") && !on_field {
                options.watermarks = true;
            } else if on_field {
                return Err(meta.error(
                    "a field may have `name = \"...\"`, `ttl = \"10s\"` (with `clock`, `refresh`) or `skip` here",
                ));
            } else {
                return Err(meta.error("the struct may have `name = \"...\"` or `watermarks` here"));
            }
            Ok(())
        })?;
    }
    Ok(options)
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new(input.span(), "an operator is a struct whose fields are states, ports and timers"));
    };
    let fields = match &data.fields {
        Fields::Named(fields) => fields.named.iter().collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(_) => {
            return Err(syn::Error::new(input.span(), "an operator's fields need names: they name states and ports"));
        }
    };
    let (mut describe, mut open) = (Vec::new(), Vec::new());
    for field in fields {
        let (Some(ident), ty) = (&field.ident, &field.ty) else { continue };
        let options = options(&field.attrs, true)?;
        if options.skip {
            open.push(quote!(#ident: ::core::default::Default::default()));
            continue;
        }
        let ttl = ttl(&options)?;
        let name = match options.name {
            Some(name) => name.value(),
            None => ident.to_string().trim_start_matches("r#").replace('_', "-"),
        };
        let well_formed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(well_formed) {
            return Err(syn::Error::new(field.span(), "a name has letters, digits, '-' and '_' only"));
        }
        describe.push(match ttl {
            None => quote!(<#ty as ::tidemill_sdk::Field>::describe(#name, &mut descriptor);),
            Some(ttl) => quote! {
                let states_before = descriptor.states.len();
                <#ty as ::tidemill_sdk::Field>::describe(#name, &mut descriptor);
                descriptor.set_ttl(states_before, #name, #ttl);
            },
        });
        open.push(quote!(#ident: <#ty as ::tidemill_sdk::Field>::open(#name, opening)?));
    }
    let options = options(&input.attrs, false)?;
    let name = options.name.map_or_else(|| quote!(::core::env!("CARGO_PKG_NAME")), |name| quote!(#name));
    let watermarks = options.watermarks;
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::tidemill_sdk::Declare for #ident #type_generics #where_clause {
            fn describe() -> ::tidemill_sdk::descriptor::Descriptor {
                let mut descriptor =
                    ::tidemill_sdk::descriptor::Descriptor::new(#name, ::core::env!("CARGO_PKG_VERSION"));
                descriptor.wants.watermarks = #watermarks;
                #(#describe)*
                descriptor
            }

            fn build(opening: &mut ::tidemill_sdk::Opening<'_>) -> ::tidemill_sdk::Result<Self> {
                ::core::result::Result::Ok(Self { #(#open),* })
            }
        }
    })
}
