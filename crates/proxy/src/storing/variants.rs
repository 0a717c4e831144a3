//! Storing variants: the list of a URL's responses that differ by request fields. RFC 9111 §4.1.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_policy::{CacheKey, VarySpec, VaryValues};
use holm_cache_store::{Object, Standing};
use http::HeaderMap;

use crate::stored::{Aside, Stored};
use crate::storing::Storing;
use crate::variants::Variants;

impl Storing {
    /// Reads what stands under the URL's key where only the disk has it: to be done before a response that may vary is
    /// accepted. Without it, all variants on disk would be out of reach once memory has lost their list.
    pub(crate) async fn recall(&mut self) {
        self.recall_under(self.primary).await;
    }

    /// The key of a variant; the entry that points to it is renewed where the response varies by other fields.
    pub(super) fn variant_key(
        &self,
        primary: CacheKey,
        spec: &VarySpec,
        values: &VaryValues,
        response: &HeaderMap,
    ) -> CacheKey {
        // One that was purged will be swept, and with it all that stands behind it.
        let known = self.known_under(primary);
        let known = known.filter(|known| self.node.marks.standing_of(known) != Standing::Hard);
        let variants = match known.as_deref().map(Object::meta) {
            Some(Stored::Variants(variants)) if variants.latest_is(spec) => Arc::clone(variants),
            Some(Stored::Variants(variants)) => self.renew_variants(primary, variants.with_spec(spec.clone()).into()),
            _ => self.renew_variants(primary, Variants::new(spec.clone()).into()),
        };
        let key = variants.latest_key(primary, values);
        let weighed = variants.weight();
        if let Some(oldest) = variants.keep(key, self.asked.headers(), response) {
            self.node.store.remove(oldest.0);
            self.node.store.remove(Aside::Parts.of(oldest));
        }
        // What is stored is weighed once: a list that has grown is stored anew.
        if variants.weight() > weighed {
            self.renew_variants(primary, variants);
        }
        key
    }

    fn renew_variants(&self, primary: CacheKey, variants: Arc<Variants>) -> Arc<Variants> {
        let stored = Stored::Variants(Arc::clone(&variants));
        self.insert(primary.0, stored, Bytes::new(), self.scope.clone(), self.begun.applied);
        variants
    }
}
