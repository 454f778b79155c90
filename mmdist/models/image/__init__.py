"""models/image"""
