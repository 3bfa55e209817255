//! The dashboard's files, embedded and compressed by the build script.

use std::io::Read;

use actix_web::http::header::{
    self, AcceptEncoding, CacheControl, CacheDirective, ETag, Encoding, EntityTag, Header, IfNoneMatch,
};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;

use crate::runtime::http::ApiError;
use crate::wire::ErrorCode;

/// One file of the page.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    /// Digest of its content.
    etag: &'static str,
    gzip: &'static [u8],
}

const ASSETS: [Asset; 5] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The page loads everything from this server. uPlot and the picture position their elements by inline styles.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// Responds with a file, or with 304 if the browser's copy is current.
fn serve(asset: &'static Asset, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    // A weak tag, because the compressed and the uncompressed file have the same tag.
    let tag = EntityTag::new_weak(asset.etag.to_owned());
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        _ => false,
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(tag))
        // The browser revalidates each time, so that a new version of the program shows at once.
        .insert_header(CacheControl(vec![CacheDirective::NoCache]))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY));
    if known {
        return Ok(response.finish());
    }
    response.content_type(asset.content_type);
    let forms = [Encoding::gzip(), Encoding::identity()];
    if AcceptEncoding::parse(request).is_ok_and(|accept| accept.negotiate(forms.iter()) == Some(Encoding::gzip())) {
        return Ok(response.insert_header((header::CONTENT_ENCODING, "gzip")).body(asset.gzip));
    }
    let mut plain = Vec::new();
    GzDecoder::new(asset.gzip)
        .read_to_end(&mut plain)
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("{}: {error}", asset.path)))?;
    Ok(response.body(plain))
}

/// The paths of all files, including the page's.
pub fn page_paths() -> impl Iterator<Item = &'static str> {
    ASSETS.iter().map(|asset| asset.path)
}

/// Adds the routes: each file by its name, and the page at `/`.
pub fn routes(config: &mut ServiceConfig) {
    for asset in &ASSETS {
        config.route(asset.path, web::get().to(async move |request: HttpRequest| serve(asset, &request)));
    }
}
