//! The S3-style store that the settings name for sealed files, as a tier of the storage. Its client needs a tokio runtime: one on a
//! thread of its own, which lives as long as the tier. `job/lifecycle.rs` hands it to the store.

use crate::config::settings::StoreSettings;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use tidemill_storage::RemoteTier;
use tidemill_storage::sealed::{ObjectTier, Spawn};

/// Longer than any file needs on a slow line, shorter than anybody waits for a store that hangs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request is tried again for so long; then the mover, or whoever reads, hears of it. The mover tries again by itself.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: usize = 4;

/// The tier that the settings name; none = sealed files lie in the data directory. The message names the setting and the mend.
pub fn remote_tier(settings: &StoreSettings) -> Result<Option<RemoteTier>, String> {
    let Some(url) = &settings.tier else {
        return match settings.tier_options.keys().next() {
            None => Ok(None),
            Some(key) => {
                Err(format!("store.tier_options.{key} is set without store.tier: set that, or take the options out"))
            }
        };
    };
    let place = url.strip_prefix("s3://").unwrap_or("");
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() {
        return Err(format!("store.tier is {url:?}: write \"s3://BUCKET/PREFIX\""));
    }
    let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|e| format!("store.tier is {url:?}: {e}"))?;
    let mut client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
    if settings.tier_options.get("endpoint").is_some_and(|endpoint| endpoint.starts_with("http://")) {
        client = client.with_allow_http(true);
    }
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, backoff: BackoffConfig::default() };
    let mut builder = AmazonS3Builder::from_env().with_client_options(client).with_retry(retry);
    for (key, value) in &settings.tier_options {
        let name: AmazonS3ConfigKey = key.parse().map_err(|_| {
            format!("store.tier_options.{key} is no option of an S3 store; known are endpoint, region, access_key_id and others (docs/sealed-files.md)")
        })?;
        builder = builder.with_config(name, value);
    }
    let store = builder.with_bucket_name(bucket).build().map_err(|e| format!("store.tier {url:?}: {e}"))?;
    let spawn = runtime().map_err(|e| format!("cannot start the thread for store.tier: {e}"))?;
    let tier = ObjectTier::remote(Arc::new(PrefixStore::new(store, prefix)), spawn, settings.tier_cache_bytes);
    Ok(Some(RemoteTier { url: url.trim_end_matches('/').to_string(), tier: Arc::new(tier) }))
}

/// A runtime on a thread that ends when the last clone of what it gives is dropped.
fn runtime() -> std::io::Result<Spawn> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (alive, gone) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new().name("tier".into()).spawn(move || {
        let _ = runtime.block_on(gone); // an error: the sender was dropped
    })?;
    Ok(Arc::new(move |work| {
        let _ = &alive;
        drop(handle.spawn(work));
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    fn with(tier: Option<&str>, options: &[(&str, &str)]) -> Result<Option<RemoteTier>, String> {
        let options = options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let store = Settings::default().store;
        remote_tier(&StoreSettings { tier: tier.map(str::to_string), tier_options: options, ..store })
    }

    #[test]
    fn mistakes_name_the_setting_and_the_mend() {
        assert!(with(None, &[]).unwrap().is_none());
        for (tier, options, expected) in [
            (None, &[("region", "x")][..], "store.tier_options.region is set without store.tier"),
            (Some("events"), &[], "store.tier is \"events\": write \"s3://BUCKET/PREFIX\""),
            (Some("s3:///x"), &[], "write \"s3://BUCKET/PREFIX\""),
            (Some("s3://events/a//b"), &[], "store.tier is \"s3://events/a//b\""),
            (Some("s3://events"), &[("endpiont", "x")], "store.tier_options.endpiont is no option"),
        ] {
            let error = with(tier, options).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_place_is_called_by_its_url() {
        let options = [("region", "eu-1"), ("access_key_id", "a"), ("secret_access_key", "b")];
        let tier = with(Some("s3://events/deep/prefix/"), &options).unwrap().unwrap();
        assert_eq!(tier.url, "s3://events/deep/prefix");
    }
}
